//! What the lists of users, groups, tenants and partners have in common on the wire.

use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::ids;
use crate::service::people::{After, PeoplePage};
use crate::service::{Error, PageRequest};
use crate::tenancy::Standing;

use super::paging::{Page, decode_cursor, page_request};

/// Longer than any name or address.
const SEARCH_CHARACTERS_MAX: usize = 320;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PeopleQuery {
    #[param(minimum = 1, default = 1)]
    pub page: Option<u32>,
    #[param(minimum = 1, maximum = 100, default = 50)]
    pub page_size: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// `active`, `suspended` or `inactive`.
    pub status: Option<String>,
    /// A part of the name, the address or the slug.
    #[param(max_length = 320)]
    pub search: Option<String>,
}

/// What is asked of a list, checked.
pub struct Asked {
    pub page: PageRequest,
    pub after: After,
    pub status: Option<Standing>,
    pub search: Option<String>,
}

impl PeopleQuery {
    pub fn check(self) -> Result<Asked, Error> {
        let Self { page, page_size, cursor, status, search } = self;
        let status = match status.as_deref() {
            None => None,
            Some("active") => Some(Standing::Active),
            Some("suspended") => Some(Standing::Suspended),
            Some("inactive") => Some(Standing::Inactive),
            Some(_) => return Err(Error::invalid("status", "must be active, suspended or inactive")),
        };
        if search.as_ref().is_some_and(|text| text.chars().count() > SEARCH_CHARACTERS_MAX) {
            return Err(Error::schema(&["query", "search"], "must have at most 320 characters"));
        }
        let page = page_request(page, page_size)?;
        let after = match decode_cursor::<(String, String)>(cursor.as_deref())? {
            Some((name, id)) => Some((name, ids::decode(&id).ok_or_else(bad_cursor)?)),
            None => None,
        };
        Ok(Asked { page, after, status, search })
    }
}

/// What is no cursor of the list.
pub fn bad_cursor() -> Error {
    Error::schema(&["query", "cursor"], "is not a cursor of this list")
}

/// A page, and where the next begins.
pub fn answer<T, U>(
    page: PageRequest,
    found: PeoplePage<T>,
    key: impl Fn(&T) -> (String, Uuid),
    item: impl Fn(T) -> U,
) -> Page<U> {
    let PeoplePage { rows, total, more } = found;
    let next = rows.last().filter(|_| more).map(key).map(|(name, id)| (name, ids::encode(id)));
    Page::new(&page, rows.into_iter().map(item).collect(), total, next)
}
