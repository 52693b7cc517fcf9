//! A list that grows without moving what is there.

/// Values of a chunk: few enough that a list of a handful takes no more memory than it needs, and that a chunk that still
/// grows is moved in no time.
const CHUNK: usize = 256;

/// A list of values, which are never moved once there are more than a few hundred.
#[derive(Clone, Debug)]
pub struct Chunked<T> {
    /// All but the last are full.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Chunked<T> {
    /// An empty list, without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    /// Appends a value, and returns its index.
    pub fn push(&mut self, value: T) -> usize {
        let at = self.len();
        match self.chunks.last_mut().filter(|last| last.len() < CHUNK) {
            Some(last) => last.push(value),
            None => {
                // Behind a full chunk another one is likely to fill.
                let mut chunk = Vec::with_capacity(if self.chunks.is_empty() { 1 } else { CHUNK });
                chunk.push(value);
                self.chunks.push(chunk);
            }
        }
        at
    }

    /// The value at an index.
    #[must_use]
    #[inline]
    pub fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    /// The value at an index, to change it.
    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }

    /// Values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// There is no value.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_where_they_were_put_and_stay_there() {
        let mut list = Chunked::new();
        assert!(list.is_empty() && list.get(0).is_none());
        for n in 0..CHUNK {
            assert_eq!((list.push(n), list.len()), (n, n + 1));
        }
        let first = std::ptr::from_ref(list.get(0).unwrap());
        for n in CHUNK..5 * CHUNK + 7 {
            assert_eq!((list.push(n), list.len()), (n, n + 1));
        }
        *list.get_mut(CHUNK).unwrap() += 1;
        assert!((0..list.len()).all(|n| *list.get(n).unwrap() == n + usize::from(n == CHUNK)));
        assert_eq!((list.get(list.len()), first), (None, std::ptr::from_ref(list.get(0).unwrap())));
    }
}
