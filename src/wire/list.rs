//! Rows of equal kind inside a message: checked once when read, and taken apart while they are walked through.
//! Read first: docs/protocol.md, "Control stream".

use core::iter;
use core::marker::PhantomData;

use super::{Error, Reader};

/// One row.
pub trait Row: Sized {
    #[doc(hidden)]
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error>;
    fn write(&self, out: &mut Vec<u8>);
}

/// Rows that were read or written, as bytes; all of them are well-formed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct List<'a, T> {
    len: usize,
    bytes: &'a [u8],
    rows: PhantomData<T>,
}

impl<'a, T: Row> List<'a, T> {
    /// Writes the rows to the empty `buffer` and lists them there.
    pub fn of(rows: &[T], buffer: &'a mut Vec<u8>) -> Self {
        buffer.clear();
        rows.iter().for_each(|row| row.write(buffer));
        Self { len: rows.len(), bytes: buffer, rows: PhantomData }
    }

    pub(super) fn read(reader: &mut Reader<'a>, len: usize) -> Result<Self, Error> {
        let start = reader.0;
        for _ in 0..len {
            T::read(reader)?;
        }
        let bytes = start.get(..start.len() - reader.0.len()).ok_or(Error)?;
        Ok(Self { len, bytes, rows: PhantomData })
    }

    /// All that is left in the message.
    pub(super) fn read_rest(bytes: &'a [u8], size: usize) -> Result<Self, Error> {
        if !bytes.len().is_multiple_of(size) {
            return Err(Error);
        }
        Self::read(&mut Reader(bytes), bytes.len() / size)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let mut reader = Reader(self.bytes);
        iter::from_fn(move || T::read(&mut reader).ok())
    }
}
