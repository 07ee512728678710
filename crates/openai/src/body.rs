//! A request body: the client's bytes, proven to be one JSON object, and where its members lie.

use bytes::Bytes;

use crate::api::{Api, MemberPath};
use crate::edit::Edit;
use crate::error::{ApiError, ErrorKind};
use crate::head::Head;
use crate::json;

pub(crate) mod object;
#[cfg(test)]
mod tests;

use object::Object;

/// A body may not have more top-level members than this: the index stays small whatever a client sends.
const MAX_MEMBERS: usize = 4096;

/// A JSON object over the bytes it came in, with an index of its top-level members.
///
/// Parsing proves the whole text, nested values included: what passes here is JSON to every engine behind.
#[derive(Debug, Clone)]
pub struct Body {
    bytes: Bytes,
    object: Object,
}

/// Why a body was refused: where, and which member was at fault where one was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct BodyError {
    /// Offset in the body of the byte at fault.
    pub offset: usize,
    /// What is wrong there.
    pub what: String,
    /// The member whose type or value is wrong; `None` where the text is no JSON object at all.
    pub param: Option<&'static str>,
}

impl BodyError {
    fn syntax(offset: usize, what: impl Into<String>) -> Self {
        Self { offset, what: what.into(), param: None }
    }

    fn describe(&self) -> String {
        let Self { offset, what, param } = self;
        match param {
            Some(param) => format!("invalid `{param}` at byte {offset}: {what}"),
            None => format!("invalid JSON at byte {offset}: {what}"),
        }
    }
}

impl From<json::Fault> for BodyError {
    fn from(fault: json::Fault) -> Self {
        Self::syntax(fault.at, fault.what)
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        let refused = Self::new(ErrorKind::InvalidRequest, error.to_string());
        match error.param {
            Some(param) => refused.with_param(param),
            None => refused,
        }
    }
}

impl Body {
    /// Scans `bytes` once.
    ///
    /// # Errors
    /// Where the text is no UTF-8, no JSON, nested too deeply, or no object, with the offset of the first byte at fault.
    pub fn parse(bytes: Bytes) -> Result<Self, BodyError> {
        if let Err(error) = std::str::from_utf8(&bytes) {
            return Err(BodyError::syntax(error.valid_up_to(), "not UTF-8"));
        }
        let object = Object::scan(&bytes, MAX_MEMBERS)?;
        Ok(Self { bytes, object })
    }

    /// The body as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The raw value of the top-level member `name`; the last one where the client sent several, as engines read it.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.object.last(&self.bytes, name).map(|member| &self.bytes[member.value.clone()])
    }

    /// The raw value of the member `name` of the top-level object `parent`; `None` too where `parent` is no object.
    pub fn get_in(&self, parent: &str, name: &str) -> Option<&[u8]> {
        object::find(self.get(parent)?, name)
    }

    /// The raw value of the member at `path`.
    pub fn get_at(&self, path: MemberPath) -> Option<&[u8]> {
        match path.parent {
            Some(parent) => self.get_in(parent, path.name),
            None => self.get(path.name),
        }
    }

    /// The members that a proxy reads, checked for their types. `api` says which token limits apply.
    ///
    /// # Errors
    /// Where a member has the wrong type, naming it and its offset.
    pub fn head(&self, api: Api) -> Result<Head<'_>, BodyError> {
        Head::read(self, api)
    }

    /// An edit of this body, so far without changes.
    pub fn edit(&self) -> Edit<'_> {
        Edit::new(&self.bytes, &self.object)
    }

    /// Name and value, as they stand, of every member that `wanted` accepts, given a test for the member's name.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn texts(&self, wanted: impl Fn(&dyn Fn(&str) -> bool) -> bool) -> Vec<(&[u8], &[u8])> {
        let members = self.object.members.iter();
        let wanted = members.filter(|member| wanted(&|name| member.is(&self.bytes, name)));
        wanted.map(|member| (&self.bytes[member.key.clone()], &self.bytes[member.value.clone()])).collect()
    }

    /// Offset in the body of `raw`, which is a slice of it.
    pub(crate) fn offset_of(&self, raw: &[u8]) -> usize {
        (raw.as_ptr() as usize).saturating_sub(self.bytes.as_ptr() as usize)
    }
}
