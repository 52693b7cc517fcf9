//! The broker itself.

use std::fs;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use polyport_terminal::Exit;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, sendmsg};

use super::Maker;
use super::wire::{Failed, PACKET, Wanted};
use crate::reactor::{BindError, BindStep, Socket};
use crate::sandbox;

/// Where Linux says which ports everybody may bind.
const UNPRIVILEGED: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
/// What it says where nobody has changed it.
const FIRST_UNPRIVILEGED: u16 = 1024;

/// Makes sockets for whoever has the other end of `channel`, until it is closed. Whatever is asked for, it is a UDP
/// socket that is bound; of the ports that are root's, to one of `low_ports`.
pub fn serve(channel: impl AsFd, low_ports: &[u16]) -> Exit {
    // As long as files can be read.
    let first = fs::read_to_string(UNPRIVILEGED).ok().and_then(|text| text.trim().parse().ok());
    let first = first.unwrap_or(FIRST_UNPRIVILEGED);
    sandbox::confine_broker();
    match answer_all(&channel, &|port| port == 0 || port >= first || low_ports.contains(&port)) {
        Ok(()) => Exit::Ok,
        Err(_) => Exit::Os,
    }
}

fn answer_all(channel: &impl AsFd, may_bind: &dyn Fn(u16) -> bool) -> io::Result<()> {
    let mut packet = vec![0; PACKET];
    loop {
        let (length, _) = match recv(channel, &mut packet[..], RecvFlags::empty()) {
            Err(rustix::io::Errno::INTR) => continue,
            received => received?,
        };
        if length == 0 {
            return Ok(());
        }
        let wanted: Vec<Wanted> = serde_json::from_slice(packet.get(..length).unwrap_or_default())?;
        if wanted.len() > Maker::MOST {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (mut made, mut failed) = (Vec::new(), Vec::new());
        for (number, wanted) in wanted.iter().enumerate() {
            match make(wanted, may_bind) {
                Ok(socket) => made.push(socket),
                Err(error) => failed.push(Failed::new(number, &error)),
            }
        }
        let answer = serde_json::to_vec(&failed)?;
        let descriptors: Vec<_> = made.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(Maker::MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        while let Err(error) = sendmsg(channel, &[IoSlice::new(&answer)], &mut control, SendFlags::NOSIGNAL) {
            if error != rustix::io::Errno::INTR {
                return Err(error.into());
            }
        }
    }
}

fn make(wanted: &Wanted, may_bind: &dyn Fn(u16) -> bool) -> Result<Socket, BindError> {
    if !may_bind(wanted.address.port()) {
        let source = io::Error::from_raw_os_error(libc::EACCES);
        return Err(BindError { addr: wanted.address, step: BindStep::Bind, source });
    }
    Socket::bind(wanted.address, &wanted.options())
}

#[cfg(test)]
mod tests {
    use std::io::IoSliceMut;
    use std::os::fd::OwnedFd;
    use std::thread;

    use rustix::net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, SocketFlags, SocketType, recvmsg, send,
        socketpair,
    };

    use super::*;
    use crate::reactor::SocketOptions;

    /// The end of a daemon, and the broker, which is not confined here.
    fn pair() -> (OwnedFd, thread::JoinHandle<io::Result<()>>) {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        (ours, thread::spawn(move || answer_all(&theirs, &|port| port == 0 || port >= 1024)))
    }

    fn ask(end: &OwnedFd, wanted: &[Wanted]) -> (Vec<Failed>, Vec<OwnedFd>) {
        send(end, &serde_json::to_vec(wanted).unwrap(), SendFlags::empty()).unwrap();
        let mut packet = vec![0; PACKET];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(Maker::MOST))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(end, &mut [IoSliceMut::new(&mut packet)], &mut control, RecvFlags::empty()).unwrap();
        let rights = control.drain().filter_map(|message| {
            if let RecvAncillaryMessage::ScmRights(rights) = message { Some(rights) } else { None }
        });
        (serde_json::from_slice(&packet[..received.bytes]).unwrap(), rights.flatten().collect())
    }

    #[test]
    fn sockets_come_bound_and_what_fails_is_named() {
        let (end, broker) = pair();
        let options = SocketOptions { recv_buffer: Some(8192), ..SocketOptions::default() };
        let wanted = |address: &str| Wanted::new(address.parse().unwrap(), &options);
        let (failed, sockets) = ask(
            &end,
            &[wanted("127.0.0.1:0"), wanted("127.0.0.1:53"), wanted("192.0.2.1:4000"), wanted("[::1]:0")],
        );
        let numbers: Vec<_> = failed.iter().map(|failed| failed.number).collect();
        assert_eq!(numbers, [1, 2]);
        let sockets: Vec<_> =
            sockets.into_iter().map(|fd| Socket::made_elsewhere(fd, &options).unwrap()).collect();
        assert_eq!(sockets.len(), 2);
        assert!(sockets[0].local_addr().unwrap().ip().is_loopback() && sockets[1].is_ipv6());
        assert_eq!(sockets[0].buffers().unwrap().recv.got, 8192);
        drop(end);
        broker.join().unwrap().unwrap();
    }

    #[test]
    fn what_is_no_question_or_too_long_a_one_ends_it() {
        let many =
            vec![Wanted::new("127.0.0.1:0".parse().unwrap(), &SocketOptions::default()); Maker::MOST + 1];
        for question in [b"garbage".to_vec(), b"{}".to_vec(), serde_json::to_vec(&many).unwrap()] {
            let (end, broker) = pair();
            send(&end, &question, SendFlags::empty()).unwrap();
            assert!(broker.join().unwrap().is_err());
        }
    }
}
