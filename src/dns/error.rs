//! How this layer says no, and how it says "yes, but".
//!
//! What never lives here: statuses and bodies of HTTP answers; the layers above turn these values into them.

use serde::{Deserialize, Serialize};

/// An input that is refused; the API answers 400 and names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FieldError {
    /// The field of the request body: `name`, `type`, `content`, `ttl`, `disabled`.
    pub field: &'static str,
    /// What is wrong with it, lower case, without a full stop.
    pub message: String,
}

impl FieldError {
    /// An error that names `field`.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }

    /// An error that names the owner name.
    pub fn name(message: impl Into<String>) -> Self {
        Self::new("name", message)
    }

    /// An error that names the type.
    pub fn record_type(message: impl Into<String>) -> Self {
        Self::new("type", message)
    }

    /// An error that names the content.
    pub fn content(message: impl Into<String>) -> Self {
        Self::new("content", message)
    }
}

/// Something worth a second look that does not stop the write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The field of the request body that the warning is about.
    pub field: String,
    /// What to look at, lower case, without a full stop.
    pub message: String,
}

impl Warning {
    /// A warning about `field`.
    pub fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into() }
    }

    /// A warning about the content.
    pub fn content(message: impl Into<String>) -> Self {
        Self::new("content", message)
    }
}
