//! Protocol buffers, put together field by field: what a bench sends must not come from what it measures.

/// A message in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record(pub(crate) Vec<u8>);

impl Record {
    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    /// A whole number.
    pub(crate) fn int(self, field: u64, value: u64) -> Self {
        self.varint(field << 3).varint(value)
    }

    /// A number in eight bytes.
    pub(crate) fn fixed(self, field: u64, value: u64) -> Self {
        let mut record = self.varint(field << 3 | 1);
        record.0.extend_from_slice(&value.to_le_bytes());
        record
    }

    /// A floating-point number.
    pub(crate) fn double(self, field: u64, value: f64) -> Self {
        self.fixed(field, value.to_bits())
    }

    /// Bytes with their length.
    pub(crate) fn bytes(self, field: u64, value: &[u8]) -> Self {
        let mut record = self.varint(field << 3 | 2).varint(value.len() as u64);
        record.0.extend_from_slice(value);
        record
    }

    /// A text.
    pub(crate) fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// A message within this one.
    pub(crate) fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// A list of numbers in eight bytes each.
    pub(crate) fn packed(self, field: u64, values: impl ExactSizeIterator<Item = u64>) -> Self {
        let mut record = self.varint(field << 3 | 2).varint(values.len() as u64 * 8);
        values.for_each(|value| record.0.extend_from_slice(&value.to_le_bytes()));
        record
    }
}
