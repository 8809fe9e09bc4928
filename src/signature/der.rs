//! Reads and writes the part of DER (X.690) that keys use.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
/// The tags of optional elements: the number of the element, for one with inner elements.
pub(super) const CONTEXT_0: u8 = 0xa0;
pub(super) const CONTEXT_1: u8 = 0xa1;
/// The tag of optional element 1, for one without inner elements.
pub(super) const PRIMITIVE_1: u8 = 0x81;

/// Reads elements one after another.
#[derive(Clone, Copy)]
pub(super) struct Reader<'d>(&'d [u8]);

impl<'d> Reader<'d> {
    pub(super) fn new(der: &'d [u8]) -> Self {
        Self(der)
    }

    /// Returns the content of the next element, if it has this tag.
    pub(super) fn read(&mut self, tag: u8) -> Option<&'d [u8]> {
        let (&[found, short], rest) = self.0.split_first_chunk::<2>()?;
        let (length, rest) = match short {
            0..=0x7f => (usize::from(short), rest),
            // A long form that could be shorter is not DER.
            0x81 => split_length::<1>(rest).filter(|(length, _)| *length >= 0x80)?,
            0x82 => split_length::<2>(rest).filter(|(length, _)| *length >= 0x100)?,
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        (found == tag).then(|| {
            self.0 = rest;
            content
        })
    }

    pub(super) fn enter(&mut self, tag: u8) -> Option<Self> {
        self.read(tag).map(Self)
    }

    /// Returns the bytes of a bit string of whole bytes.
    pub(super) fn read_bits(&mut self) -> Option<&'d [u8]> {
        self.read(BIT_STRING)?.strip_prefix(&[0])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads a length of `N` bytes. Two bytes suffice, because the file of a key has at most 64 KiB.
fn split_length<const N: usize>(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<N>()?;
    Some((length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest))
}

/// Returns an element of at most 65,535 bytes.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let head = match content.len() {
        0..=0x7f => vec![tag, low],
        0x80..=0xff => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [&head, content].concat()
}

/// Returns an object identifier as numbers with dots. Numbers over 64 bits are shown modulo 2^64.
pub(super) fn object_id_text(content: &[u8]) -> String {
    let (mut numbers, mut number) = (Vec::new(), 0u64);
    for byte in content {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            numbers.push(std::mem::take(&mut number));
        }
    }
    // The first number holds two.
    let first = numbers.first().copied().unwrap_or_default();
    let root = (first / 40).min(2);
    let tail = numbers.iter().skip(1).map(|number| format!(".{number}"));
    format!("{root}.{}{}", first - root * 40, tail.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_read_as_it_was_written() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff] {
            let content = vec![7; length];
            let written = element(OCTET_STRING, &content);
            let mut reader = Reader::new(&written);
            assert_eq!(reader.read(OCTET_STRING), Some(&content[..]), "{length}");
            assert!(reader.is_empty());
            for end in 0..written.len().min(300) {
                assert_eq!(Reader::new(&written[..end]).read(OCTET_STRING), None, "{length} cut at {end}");
            }
        }
    }

    #[test]
    fn lengths_that_are_not_der_are_refused() {
        for bytes in
            [&[4, 0x80, 0, 0][..], &[4, 0x81, 1, 7], &[4, 0x82, 0, 1, 7], &[4, 0x84, 0, 0, 0, 1, 7], &[4, 0xff]]
        {
            assert_eq!(Reader::new(bytes).read(OCTET_STRING), None, "{bytes:?}");
        }
        let mut other = Reader::new(&[4, 1, 7]);
        assert_eq!((other.read(INTEGER), other.read(OCTET_STRING)), (None, Some(&[7][..])));
    }

    #[test]
    fn object_ids_are_shown_as_numbers() {
        assert_eq!(object_id_text(&[0x2b, 0x81, 0x04, 0x00, 0x0a]), "1.3.132.0.10");
        assert_eq!(object_id_text(&[0x88, 0x37, 0x03]), "2.999.3");
        assert_eq!(object_id_text(&[]), "0.0");
        object_id_text(&[0xff; 40]);
    }
}
