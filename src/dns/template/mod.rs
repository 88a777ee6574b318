//! Templates: records with `${name}` in their names and contents, and the values that come in its place.
//!
//! Values come in once and are never looked through for placeholders again; what they make is text like any other that
//! a person writes, and is parsed as such. What never lives here: whose a template is, and what becomes of its records.

mod pieces;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::edit::TTL_MAX;
use super::error::FieldError;
use super::rdata::CONTENT_INPUT_MAX;
use super::record_type::RecordType;
use pieces::{Piece, is_variable, pieces};

/// Records of one template: as many as one change takes.
pub const TEMPLATE_RECORDS_MAX: usize = 500;
/// Variables of one template; people fill them in by hand.
pub const TEMPLATE_VARIABLES_MAX: usize = 50;
/// Of a variable's value or default: a long DKIM key has 800.
const VALUE_OCTETS_MAX: usize = 4_096;
const VARIABLE_DESCRIPTION_CHARACTERS_MAX: usize = 500;
/// All names and contents of a template, with its variables.
const TEMPLATE_OCTETS_MAX: usize = 256 * 1024;
/// All names and contents that a template makes: a change of this size is one call of PowerDNS.
const EXPANDED_OCTETS_MAX: usize = 1024 * 1024;
/// Names that are filled in are at most this long; no name on the wire is.
const NAME_OCTETS_MAX: usize = 1_024;

/// A record of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRecord {
    pub name: String,
    #[serde(rename = "type")]
    pub record_type: String,
    pub content: String,
    /// None: that of its RRset, else the zone's default.
    pub ttl: Option<u32>,
}

/// What is filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateVariable {
    pub name: String,
    pub description: String,
    /// Must be given. One that need not be is its default, or nothing.
    pub required: bool,
    /// May have built-in placeholders.
    pub default: Option<String>,
}

/// Records, and the variables in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    pub records: Vec<TemplateRecord>,
    pub variables: Vec<TemplateVariable>,
}

/// What everybody may use without declaring it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltIns {
    /// The zone's name.
    pub domain: String,
    /// What the zone's tenant is called in names.
    pub tenant: String,
    /// Of the zone.
    pub default_ttl: u32,
    /// Of the platform.
    pub nameservers: Vec<String>,
}

/// What the values are called by.
pub type Values = BTreeMap<String, String>;

/// A record or variable that is wrong, by its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartProblem {
    pub index: usize,
    pub error: FieldError,
}

/// What is wrong with a template in itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateProblem {
    /// Of the whole.
    Whole(FieldError),
    Variables(Vec<PartProblem>),
    Records(Vec<PartProblem>),
}

/// What is wrong with what is to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueProblem {
    pub variable: String,
    pub message: String,
    /// It is not there and must be.
    pub is_missing: bool,
}

/// Why a template makes no records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpansionProblem {
    Values(Vec<ValueProblem>),
    Records(Vec<PartProblem>),
}

impl Template {
    /// Whether the template can be filled in at all, on a platform with so many nameservers.
    ///
    /// # Errors
    /// All variables that are wrong, or where none is all records.
    pub fn check(&self, nameservers: usize) -> Result<(), TemplateProblem> {
        self.check_bounds().map_err(TemplateProblem::Whole)?;
        let variables = self.variables.iter().enumerate();
        let wrong =
            problems(variables.map(|(index, variable)| (index, self.check_variable((index, variable), nameservers))));
        if !wrong.is_empty() {
            return Err(TemplateProblem::Variables(wrong));
        }
        let records = self.records.iter().enumerate();
        let wrong = problems(records.map(|(index, record)| (index, self.check_record(record, nameservers))));
        if wrong.is_empty() { Ok(()) } else { Err(TemplateProblem::Records(wrong)) }
    }

    fn check_bounds(&self) -> Result<(), FieldError> {
        let Self { records, variables } = self;
        if records.is_empty() || records.len() > TEMPLATE_RECORDS_MAX {
            return Err(FieldError::new("records", format!("must have 1 to {TEMPLATE_RECORDS_MAX} entries")));
        }
        if variables.len() > TEMPLATE_VARIABLES_MAX {
            return Err(FieldError::new("variables", format!("must have at most {TEMPLATE_VARIABLES_MAX} entries")));
        }
        let of_record = |record: &TemplateRecord| record.name.len() + record.content.len();
        let of_variable = |variable: &TemplateVariable| {
            let TemplateVariable { name, description, required: _, default } = variable;
            name.len() + description.len() + default.as_ref().map_or(0, String::len)
        };
        let octets = records.iter().map(of_record).chain(variables.iter().map(of_variable)).sum::<usize>();
        if octets > TEMPLATE_OCTETS_MAX {
            let message = format!("a template may have at most {TEMPLATE_OCTETS_MAX} octets in all");
            return Err(FieldError::new("records", message));
        }
        Ok(())
    }

    fn check_variable(
        &self,
        (index, variable): (usize, &TemplateVariable),
        nameservers: usize,
    ) -> Result<(), FieldError> {
        let TemplateVariable { name, description, required: _, default } = variable;
        if !is_variable(name) {
            let message = "must be 1 to 64 letters, digits and _, beginning with a letter";
            return Err(FieldError::name(message));
        }
        if BuiltIn::parse(name).is_some() {
            return Err(FieldError::name(format!("{name} is built in")));
        }
        if self.variables[..index].iter().any(|earlier| earlier.name == *name) {
            return Err(FieldError::name(format!("{name} is there twice")));
        }
        if description.chars().count() > VARIABLE_DESCRIPTION_CHARACTERS_MAX {
            let message = format!("must have at most {VARIABLE_DESCRIPTION_CHARACTERS_MAX} characters");
            return Err(FieldError::new("description", message));
        }
        let Some(default) = default else { return Ok(()) };
        if default.len() > VALUE_OCTETS_MAX {
            return Err(FieldError::new("default", format!("must have at most {VALUE_OCTETS_MAX} octets")));
        }
        for piece in pieces(default).map_err(|message| FieldError::new("default", message))? {
            let Piece::Placeholder(name) = piece else { continue };
            let message = match BuiltIn::parse(name) {
                Some(BuiltIn::Nameserver(number)) if number > nameservers => no_nameserver(name, nameservers),
                Some(_) => continue,
                None => format!("${{{name}}} is not built in, and a default may have no others"),
            };
            return Err(FieldError::new("default", message));
        }
        Ok(())
    }

    fn check_record(&self, record: &TemplateRecord, nameservers: usize) -> Result<(), FieldError> {
        let TemplateRecord { name, record_type, content, ttl } = record;
        RecordType::parse(record_type)?;
        if ttl.is_some_and(|ttl| ttl > TTL_MAX) {
            return Err(FieldError::new("ttl", format!("must be from 0 to {TTL_MAX}")));
        }
        for (field, text) in [("name", name), ("content", content)] {
            for piece in pieces(text).map_err(|message| FieldError::new(field, message))? {
                let Piece::Placeholder(name) = piece else { continue };
                let is_known = self.variables.iter().any(|variable| variable.name == name);
                match BuiltIn::parse(name) {
                    Some(BuiltIn::Nameserver(number)) if number > nameservers => {
                        return Err(FieldError::new(field, no_nameserver(name, nameservers)));
                    }
                    None if !is_known => {
                        let message = format!("unknown placeholder ${{{name}}}: it is no variable of this template");
                        return Err(FieldError::new(field, message));
                    }
                    Some(_) | None => {}
                }
            }
        }
        Ok(())
    }

    /// The records with the values in their places.
    ///
    /// # Errors
    /// All values that are wrong, missing or of no variable; or where none is, the records that grow too large, or name
    /// a nameserver that the platform does not have.
    pub fn expand(&self, given: &Values, built_ins: &BuiltIns) -> Result<Vec<TemplateRecord>, ExpansionProblem> {
        let values = self.values(given, built_ins).map_err(ExpansionProblem::Values)?;
        let (mut records, mut wrong) = (Vec::with_capacity(self.records.len()), Vec::new());
        let mut left = EXPANDED_OCTETS_MAX;
        for (index, record) in self.records.iter().enumerate() {
            match filled_in(record, &values, built_ins, left) {
                Ok(record) => {
                    left -= record.name.len() + record.content.len();
                    records.push(record);
                }
                Err(error) => wrong.push(PartProblem { index, error }),
            }
        }
        if wrong.is_empty() { Ok(records) } else { Err(ExpansionProblem::Records(wrong)) }
    }

    fn values(&self, given: &Values, built_ins: &BuiltIns) -> Result<Values, Vec<ValueProblem>> {
        let (mut values, mut wrong) = (Values::new(), Vec::new());
        let mut say = |variable: &str, message: String, is_missing| {
            wrong.push(ValueProblem { variable: variable.to_owned(), message, is_missing });
        };
        for name in given.keys().filter(|name| self.variables.iter().all(|variable| variable.name != **name)) {
            let message = match BuiltIn::parse(name) {
                Some(_) => "is built in and cannot be given",
                None => "is no variable of this template",
            };
            say(name, message.to_owned(), false);
        }
        for TemplateVariable { name, description: _, required, default } in &self.variables {
            match given.get(name) {
                Some(value) if value.len() > VALUE_OCTETS_MAX => {
                    say(name, format!("must have at most {VALUE_OCTETS_MAX} octets"), false);
                }
                Some(value) if !(*required && value.trim().is_empty()) => {
                    values.insert(name.clone(), value.clone());
                }
                Some(_) => say(name, "must not be empty".to_owned(), true),
                None if *required && default.is_none() => say(name, "is required".to_owned(), true),
                None => {
                    let default = default.as_deref().unwrap_or_default();
                    match fill(default, &Values::new(), built_ins, VALUE_OCTETS_MAX) {
                        Ok(value) => drop(values.insert(name.clone(), value)),
                        Err(message) => say(name, message, false),
                    }
                }
            }
        }
        if wrong.is_empty() { Ok(values) } else { Err(wrong) }
    }
}

/// A placeholder that needs no variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BuiltIn {
    Domain,
    Tenant,
    DefaultTtl,
    /// From 1.
    Nameserver(usize),
}

impl BuiltIn {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "domain" => Some(Self::Domain),
            "tenant" => Some(Self::Tenant),
            "default_ttl" => Some(Self::DefaultTtl),
            _ => {
                let digits = name.strip_prefix("ns").filter(|digits| !digits.starts_with('0') && digits.len() < 3)?;
                Some(Self::Nameserver(digits.parse().ok()?))
            }
        }
    }

    fn value(self, built_ins: &BuiltIns) -> Option<String> {
        match self {
            Self::Domain => Some(built_ins.domain.clone()),
            Self::Tenant => Some(built_ins.tenant.clone()),
            Self::DefaultTtl => Some(built_ins.default_ttl.to_string()),
            Self::Nameserver(number) => built_ins.nameservers.get(number.checked_sub(1)?).cloned(),
        }
    }
}

fn filled_in(
    record: &TemplateRecord,
    values: &Values,
    built_ins: &BuiltIns,
    left: usize,
) -> Result<TemplateRecord, FieldError> {
    let TemplateRecord { name, record_type, content, ttl } = record;
    let bound = left.min(NAME_OCTETS_MAX);
    let name = fill(name, values, built_ins, bound).map_err(FieldError::name)?;
    let bound = (left - name.len()).min(CONTENT_INPUT_MAX);
    let content = fill(content, values, built_ins, bound).map_err(FieldError::content)?;
    Ok(TemplateRecord { name, record_type: record_type.clone(), content, ttl: *ttl })
}

/// The text with what stands for its placeholders; never longer than the bound.
fn fill(text: &str, values: &Values, built_ins: &BuiltIns, bound: usize) -> Result<String, String> {
    let mut filled = String::new();
    for piece in pieces(text)? {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Placeholder(name) => match (values.get(name), BuiltIn::parse(name)) {
                (Some(value), _) => filled.push_str(value),
                (None, Some(built_in)) => {
                    let absent = || no_nameserver(name, built_ins.nameservers.len());
                    filled.push_str(&built_in.value(built_ins).ok_or_else(absent)?);
                }
                (None, None) => return Err(format!("unknown placeholder ${{{name}}}")),
            },
        }
        if filled.len() > bound {
            return Err(format!("with its values it is longer than {bound} octets"));
        }
    }
    Ok(filled)
}

fn no_nameserver(name: &str, nameservers: usize) -> String {
    format!("${{{name}}} stands for nothing: the platform has {nameservers} nameservers")
}

fn problems(checked: impl Iterator<Item = (usize, Result<(), FieldError>)>) -> Vec<PartProblem> {
    checked.filter_map(|(index, checked)| Some(PartProblem { index, error: checked.err()? })).collect()
}
