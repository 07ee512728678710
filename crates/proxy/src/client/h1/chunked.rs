//! The chunked transfer coding (RFC 9112, 7.1), decoded in place.
//!
//! Strict where leniency lets two parties disagree about where a message ends: sizes are hexadecimal digits and nothing
//! else, lines end with CR LF, and what follows a chunk's data is exactly that.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::malformed::Malformed;

/// Most header fields in a trailer section.
const MAX_TRAILERS: usize = 32;
/// Longest trailer section, in bytes.
const MAX_TRAILER_BYTES: usize = 16 << 10;
/// Most bytes of chunk extensions in one message; nobody sends any, and each costs the reader more than its data.
const MAX_EXTENSION_BYTES: u32 = 16 << 10;

/// A decoder's place in the message.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    at: At,
    extension_bytes: u32,
}

#[derive(Debug)]
enum At {
    /// In the digits of a size, of which there must be at least one.
    Size {
        so_far: u64,
        digits: u8,
    },
    /// Behind the size: white space or extensions, to the CR.
    Extension {
        size: u64,
    },
    /// Between the CR and LF of a size line.
    SizeLf {
        size: u64,
    },
    /// This many bytes of data are left of a chunk.
    Data(u64),
    /// Behind a chunk's data.
    DataCr,
    DataLf,
    /// Behind the last chunk; what has come of a trailer section that is not whole yet.
    Trailers(Vec<u8>),
}

impl Default for At {
    fn default() -> Self {
        Self::Size { so_far: 0, digits: 0 }
    }
}

/// How far a piece of the message led.
#[derive(Debug, PartialEq)]
pub(super) enum Progress {
    /// All of it is used; more must come.
    More,
    /// The message ended, with these trailers; `excess` says whether anything followed it.
    End { trailers: HeaderMap, excess: bool },
    /// It is broken; the data before the fault stands.
    Bad(Malformed),
}

impl Chunked {
    /// Decodes the next piece: moves its data to the front and says how many bytes of data that is.
    pub(super) fn decode(&mut self, piece: &mut [u8]) -> (usize, Progress) {
        let (mut data, mut from) = (0, 0);
        while from < piece.len() {
            match &mut self.at {
                At::Data(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(piece.len() - from);
                    piece.copy_within(from..from + here, data);
                    (data, from) = (data + here, from + here);
                    *left -= here as u64;
                    if *left == 0 {
                        self.at = At::DataCr;
                    }
                }
                At::Trailers(held) => return (data, trailers(held, &piece[from..])),
                _ => {
                    if let Err(fault) = self.step(piece[from]) {
                        return (data, Progress::Bad(fault));
                    }
                    from += 1;
                }
            }
        }
        (data, Progress::More)
    }

    /// Takes one byte of framing.
    fn step(&mut self, byte: u8) -> Result<(), Malformed> {
        self.at = match (&self.at, byte) {
            (At::Size { so_far, digits }, _) => return self.size(*so_far, *digits, byte),
            (At::Extension { size }, b'\r') => At::SizeLf { size: *size },
            (At::Extension { size }, _) => {
                self.extension_bytes += 1;
                if byte == b'\n' || self.extension_bytes > MAX_EXTENSION_BYTES {
                    return Err(Malformed::ChunkExtension);
                }
                At::Extension { size: *size }
            }
            (At::SizeLf { size: 0 }, b'\n') => At::Trailers(Vec::new()),
            (At::SizeLf { size }, b'\n') => At::Data(*size),
            (At::SizeLf { .. }, _) => return Err(Malformed::ChunkSize),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::default(),
            _ => return Err(Malformed::ChunkEnd),
        };
        Ok(())
    }

    /// Takes one byte of a size, or the first behind it.
    fn size(&mut self, so_far: u64, digits: u8, byte: u8) -> Result<(), Malformed> {
        self.at = match (char::from(byte).to_digit(16), byte) {
            // Sixteen digits fill 64 bits.
            (Some(digit), _) if digits < 16 => At::Size { so_far: so_far << 4 | u64::from(digit), digits: digits + 1 },
            (None, b'\r') if digits > 0 => At::SizeLf { size: so_far },
            (None, b';' | b' ' | b'\t') if digits > 0 => At::Extension { size: so_far },
            _ => return Err(Malformed::ChunkSize),
        };
        Ok(())
    }
}

/// Looks for the end of the trailer section in what was `held` of it and a new `piece`.
fn trailers(held: &mut Vec<u8>, piece: &[u8]) -> Progress {
    if held.is_empty() && piece.starts_with(b"\r\n") {
        return Progress::End { trailers: HeaderMap::new(), excess: piece.len() > 2 };
    }
    held.extend_from_slice(piece);
    let mut slots = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    match httparse::parse_headers(held, &mut slots) {
        Ok(httparse::Status::Complete((used, fields))) if used <= MAX_TRAILER_BYTES => match fields_of(fields) {
            Some(trailers) => Progress::End { trailers, excess: held.len() > used },
            None => Progress::Bad(Malformed::Trailers),
        },
        Ok(httparse::Status::Partial) if held.len() < MAX_TRAILER_BYTES => Progress::More,
        _ => Progress::Bad(Malformed::Trailers),
    }
}

fn fields_of(fields: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        map.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(map)
}
