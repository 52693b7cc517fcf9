//! DNS queries (RFC 1035, section 4; EDNS is RFC 6891), read strictly: what is not wholly a query is none.

/// Response: such a datagram is never answered, or two servers would never stop.
const QR: u16 = 0x8000;
/// Type of the record that carries EDNS.
pub(crate) const OPT: u16 = 41;
/// Longest name, octets.
pub(crate) const LONGEST_NAME: usize = 255;

/// What somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Query<'a> {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    /// Labels with their lengths, the empty one at the end.
    pub(crate) name: &'a [u8],
    pub(crate) kind: u16,
    pub(crate) class: u16,
    pub(crate) edns: Option<Edns>,
}

/// What the asker says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    /// Octets it takes in one datagram.
    pub(crate) size: u16,
    pub(crate) version: u8,
}

impl<'a> Query<'a> {
    /// The query in `datagram`; `None` if that is not exactly one: a response, something cut, or anything behind it.
    pub(crate) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let mut rest = Rest(datagram);
        let [id, flags, questions, answers, authorities, more] = [(); 6].map(|()| rest.number());
        let (id, flags) = (id?, flags?);
        if flags & QR != 0 || (questions?, answers?, authorities?) != (1, 0, 0) {
            return None;
        }
        let query =
            Self { id, flags, name: rest.name()?, kind: rest.number()?, class: rest.number()?, edns: None };
        let edns = match more? {
            0 => None,
            1 => Some(rest.edns()?),
            _ => return None,
        };
        rest.0.is_empty().then_some(Self { edns, ..query })
    }

    /// What is to be done; 0 is a query.
    pub(crate) const fn opcode(&self) -> u16 {
        self.flags >> 11 & 0xF
    }
}

/// What is not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let octets = self.take(2)?;
        octets.first_chunk().map(|octets| u16::from_be_bytes(*octets))
    }

    /// A name without pointers: there is nothing before the first name that one could point to.
    fn name(&mut self) -> Option<&'a [u8]> {
        let whole = self.0;
        let mut octets = 0;
        loop {
            let length = usize::from(*self.take(1)?.first()?);
            if length > 63 {
                return None;
            }
            self.take(length)?;
            octets += 1 + length;
            if length == 0 {
                return whole.get(..octets).filter(|name| name.len() <= LONGEST_NAME);
            }
        }
    }

    /// The record of EDNS, whose options must fill it.
    fn edns(&mut self) -> Option<Edns> {
        let (root, kind, size) = (self.take(1)?, self.number()?, self.number()?);
        let [_, version] = *self.take(2)?.first_chunk()?;
        self.number()?;
        let length = self.number()?;
        let mut options = Rest(self.take(length.into())?);
        while !options.0.is_empty() {
            options.number()?;
            let length = options.number()?;
            options.take(length.into())?;
        }
        (root == [0] && kind == OPT).then_some(Edns { size, version })
    }
}
