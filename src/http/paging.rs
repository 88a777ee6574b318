//! Pages and cursors: the wire form of every list.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::service::{Error, PageRequest};

const PAGE_SIZE_DEFAULT: u32 = 50; // contract
const PAGE_SIZE_MAX: u32 = 100; // contract

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub data: Vec<T>,
    /// Of the whole list.
    pub total: u64,
    pub page: u32,
    pub page_size: u32,
    pub total_pages: u64,
    /// Give it as `cursor` to go on behind this page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// `total` was counted up to this bound only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub total_capped: bool,
}

impl<T> Page<T> {
    /// Wraps what a use case found; `key` is where the next page begins.
    pub fn new(request: &PageRequest, data: Vec<T>, total: u64, key: Option<impl Serialize>) -> Self {
        let size = u64::from(request.page_size);
        Self {
            data,
            total,
            page: request.page,
            page_size: request.page_size,
            total_pages: total.div_ceil(size),
            next_cursor: key.map(|key| encode_cursor(&key)),
            total_capped: false,
        }
    }
}

/// Checks the bounds of `page` and `page_size` and opens the cursor.
pub fn page_request(page: Option<u32>, page_size: Option<u32>) -> Result<PageRequest, Error> {
    let page = page.unwrap_or(1);
    let page_size = page_size.unwrap_or(PAGE_SIZE_DEFAULT);
    if page < 1 {
        return Err(Error::schema(&["query", "page"], "must be at least 1"));
    }
    if !(1..=PAGE_SIZE_MAX).contains(&page_size) {
        return Err(Error::schema(&["query", "page_size"], "must be from 1 to 100"));
    }
    Ok(PageRequest { page, page_size })
}

/// A cursor is opaque to clients: the key of the last entry, as base64url of JSON.
pub fn decode_cursor<T: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<T>, Error> {
    #[derive(Deserialize)]
    struct Envelope<T>(T);
    let Some(text) = cursor else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let key = bytes.and_then(|bytes| serde_json::from_slice::<Envelope<T>>(&bytes).ok());
    match key {
        Some(Envelope(key)) => Ok(Some(key)),
        None => Err(Error::schema(&["query", "cursor"], "is not a cursor of this list")),
    }
}

/// The reverse of [`decode_cursor`].
pub fn encode_cursor(key: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}
