//! Serving as somebody else than who started the process.

use std::ffi::CString;

use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::unistd::{self, Gid, Group, Uid, User};

use super::policy::{Groups, Identity, Layer, Part, Policy, Refusal};

/// Looks up a user and a group, each by name or number. Without a group it is the user's own (`passwd(5)`); without a
/// user it is who runs this process.
///
/// # Errors
/// A name that the system does not know, or a number that needs a group as well.
pub fn resolve(user: Option<&str>, group: Option<&str>) -> Result<Option<Identity>, Refusal> {
    let group = group.map(group_id).transpose()?;
    let Some(name) = user else {
        let uid = unistd::geteuid();
        return Ok(group.map(|gid| Identity { name: name_of(uid), uid: uid.as_raw(), gid, is_known: false }));
    };
    let found = match name.parse::<u32>() {
        Ok(u32::MAX) => return Err(Refusal::new(Part::User, format!("{name} is no user id"))),
        Ok(uid) => User::from_uid(Uid::from_raw(uid)).map(|found| found.ok_or(uid)),
        Err(_) => match User::from_name(name) {
            Ok(Some(found)) => Ok(Ok(found)),
            Ok(None) => return Err(Refusal::new(Part::User, format!("this system has no user {name}"))),
            Err(errno) => Err(errno),
        },
    };
    let cannot =
        |errno: Errno| Refusal::new(Part::User, format!("the user database cannot be read: {errno}"));
    match (found.map_err(cannot)?, group) {
        (Ok(user), group) => {
            let gid = group.unwrap_or(user.gid.as_raw());
            Ok(Some(Identity { name: user.name, uid: user.uid.as_raw(), gid, is_known: true }))
        }
        (Err(uid), Some(gid)) => Ok(Some(Identity { name: uid.to_string(), uid, gid, is_known: false })),
        (Err(uid), None) => {
            let why =
                format!("the user database does not know {uid}, and so no group of it: say `group` as well");
            Err(Refusal::new(Part::User, why))
        }
    }
}

fn group_id(name: &str) -> Result<u32, Refusal> {
    if let Ok(gid) = name.parse::<u32>() {
        let is_id = gid != u32::MAX;
        return if is_id {
            Ok(gid)
        } else {
            Err(Refusal::new(Part::Group, format!("{name} is no group id")))
        };
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(Refusal::new(Part::Group, format!("this system has no group {name}"))),
        Err(errno) => Err(Refusal::new(Part::Group, format!("the group database cannot be read: {errno}"))),
    }
}

/// The name of a user, or the number of one who has none.
pub(super) fn name_of(uid: Uid) -> String {
    User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// Who is to serve, as files know users.
///
/// Root without capabilities is a user like others: only with [`Layer::Off`] it may do everything.
pub fn groups(policy: &Policy) -> Groups {
    let (name, uid, gids) = match &policy.identity {
        Some(identity) => {
            let gid = Gid::from_raw(identity.gid);
            let known = CString::new(identity.name.as_bytes()).ok().filter(|_| identity.is_known);
            let gids =
                known.and_then(|name| unistd::getgrouplist(&name, gid).ok()).unwrap_or_else(|| vec![gid]);
            (identity.name.clone(), identity.uid, gids)
        }
        None => {
            let mut gids = unistd::getgroups().unwrap_or_default();
            gids.push(unistd::getegid());
            let uid = unistd::geteuid();
            (name_of(uid), uid.as_raw(), gids)
        }
    };
    let everything = uid == 0 && policy.capabilities == Layer::Off;
    Groups { name, uid, gids: gids.into_iter().map(Gid::as_raw).collect(), everything }
}

/// Whether this process may become who is to serve.
///
/// # Errors
/// It lacks `CAP_SETUID` or `CAP_SETGID`, which root has.
pub fn may_become(policy: &Policy) -> Result<(), Refusal> {
    let Some(identity) = &policy.identity else { return Ok(()) };
    if is_already(identity) {
        return Ok(());
    }
    let lacks = |cap| !caps::has_cap(None, CapSet::Effective, cap).unwrap_or(false);
    if lacks(Capability::CAP_SETUID) || lacks(Capability::CAP_SETGID) {
        let why = format!(
            "only root can serve as {} (CAP_SETUID and CAP_SETGID), and this is {}",
            identity.name,
            name_of(unistd::geteuid())
        );
        return Err(Refusal::new(Part::User, why));
    }
    Ok(())
}

/// Becomes it with all threads, for good. Who is it already stays as he is.
pub(super) fn become_user(identity: &Identity) -> Result<(), Refusal> {
    if is_already(identity) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    let failed = |what: &str, errno: Errno| {
        Refusal::new(Part::User, format!("cannot serve as {}: {what}: {errno}", identity.name))
    };
    let groups = match CString::new(identity.name.as_bytes()) {
        Ok(name) if identity.is_known => unistd::initgroups(&name, gid),
        Ok(_) | Err(_) => unistd::setgroups(&[gid]),
    };
    groups.map_err(|errno| failed("its groups", errno))?;
    // The C library does it in all threads (nptl(7)).
    unistd::setresgid(gid, gid, gid).map_err(|errno| failed("its group", errno))?;
    unistd::setresuid(uid, uid, uid).map_err(|errno| failed("its user", errno))?;
    // A way back would make all of it worthless.
    if !uid.is_root() && unistd::seteuid(Uid::from_raw(0)).is_ok() {
        return Err(Refusal::new(Part::User, format!("{} can become root again", identity.name)));
    }
    Ok(())
}

/// Whether all ids of this process are these.
pub(super) fn is_already(identity: &Identity) -> bool {
    let user = unistd::getresuid()
        .is_ok_and(|ids| [ids.real, ids.effective, ids.saved].iter().all(|uid| uid.as_raw() == identity.uid));
    let group = unistd::getresgid()
        .is_ok_and(|ids| [ids.real, ids.effective, ids.saved].iter().all(|gid| gid.as_raw() == identity.gid));
    user && group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_found_by_name_and_by_number() {
        assert_eq!(resolve(None, None), Ok(None));
        let root = Identity { name: "root".to_owned(), uid: 0, gid: 0, is_known: true };
        assert_eq!(resolve(Some("root"), None), Ok(Some(root.clone())));
        assert_eq!(resolve(Some("0"), None), Ok(Some(root.clone())));
        assert_eq!(resolve(Some("root"), Some("7")), Ok(Some(Identity { gid: 7, ..root })));
        let nobody = resolve(Some("3999999999"), Some("7")).unwrap().unwrap();
        assert_eq!((nobody.uid, nobody.gid, nobody.is_known), (3_999_999_999, 7, false));
        let own = resolve(None, Some("7")).unwrap().unwrap();
        assert_eq!((own.uid, own.gid), (unistd::geteuid().as_raw(), 7));
    }

    #[test]
    fn who_is_not_there_is_refused_in_words() {
        let refused = |user, group| {
            let refusal = resolve(user, group).unwrap_err();
            (refusal.part, refusal.why)
        };
        let (part, why) = refused(Some("no-such-user"), None);
        assert_eq!((part, why.as_str()), (Part::User, "this system has no user no-such-user"));
        let (part, why) = refused(Some("root"), Some("no-such-group"));
        assert_eq!((part, why.as_str()), (Part::Group, "this system has no group no-such-group"));
        assert!(refused(Some("3999999999"), None).1.contains("say `group` as well"));
        // The number that setresuid(2) takes for "leave it as it is".
        assert_eq!(refused(Some("4294967295"), None).1, "4294967295 is no user id");
        assert_eq!(refused(Some("root"), Some("4294967295")).1, "4294967295 is no group id");
    }

    #[test]
    fn who_serves_already_needs_no_right_to() {
        let own = Identity {
            name: "me".to_owned(),
            uid: unistd::geteuid().as_raw(),
            gid: unistd::getegid().as_raw(),
            is_known: false,
        };
        assert!(is_already(&own));
        assert_eq!(may_become(&Policy { identity: Some(own.clone()), ..Policy::default() }), Ok(()));
        assert!(!is_already(&Identity { uid: own.uid + 1, ..own.clone() }));
        assert!(!is_already(&Identity { gid: own.gid + 1, ..own }));
    }
}
