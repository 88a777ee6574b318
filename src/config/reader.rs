//! Reading one environment: collects every problem instead of stopping at the first.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use redis::IntoConnectionInfo;
use secrecy::SecretString;
use sqlx::mysql::MySqlConnectOptions;
use tracing_subscriber::filter::Directive;

/// One variable that is missing or malformed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    pub variable: String,
    pub message: String,
}

/// All that is wrong with the environment.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ConfigProblems(pub Vec<ConfigProblem>);

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration is incomplete:")?;
        for ConfigProblem { variable, message } in &self.0 {
            writeln!(f, "  {variable} {message}")?;
        }
        Ok(())
    }
}

pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<ConfigProblem>,
}

impl<'a> Reader<'a> {
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    pub fn problem(&mut self, variable: &str, message: impl Into<String>) {
        self.problems.push(ConfigProblem { variable: variable.to_owned(), message: message.into() });
    }

    pub fn finish<T>(self, value: T) -> Result<T, ConfigProblems> {
        if self.problems.is_empty() { Ok(value) } else { Err(ConfigProblems(self.problems)) }
    }

    /// The variable, or what stands in the file that `NAME_FILE` names; blank counts as absent.
    fn optional(&mut self, name: &str) -> Option<String> {
        if let Some(value) = (self.lookup)(name).filter(|value| !value.trim().is_empty()) {
            return Some(value.trim().to_owned());
        }
        let path = (self.lookup)(&format!("{name}_FILE")).filter(|path| !path.is_empty())?;
        match std::fs::read_to_string(&path) {
            Ok(content) => Some(content.trim().to_owned()).filter(|value| !value.is_empty()),
            Err(error) => {
                self.problem(name, format!("could not be read from the file {path}: {error}"));
                Some(String::new())
            }
        }
    }

    pub fn required(&mut self, name: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.problem(name, "is missing");
            String::new()
        })
    }

    pub fn text(&mut self, name: &str, default: &str) -> String {
        self.optional(name).unwrap_or_else(|| default.to_owned())
    }

    pub fn required_secret(&mut self, name: &str) -> SecretString {
        self.required(name).into()
    }

    pub fn long_secret(&mut self, name: &str, least: usize) -> SecretString {
        let value = self.required(name);
        self.check_length(name, &value, least);
        value.into()
    }

    pub fn secrets(&mut self, name: &str, least: usize) -> Vec<SecretString> {
        let value = self.required(name);
        self.split_secrets(name, &value, least)
    }

    pub fn optional_secrets(&mut self, name: &str, least: usize) -> Vec<SecretString> {
        let value = self.text(name, "");
        self.split_secrets(name, &value, least)
    }

    fn split_secrets(&mut self, name: &str, value: &str, least: usize) -> Vec<SecretString> {
        let secrets = split(value);
        if secrets.is_empty() && !value.is_empty() {
            self.problem(name, "names none");
        }
        secrets
            .into_iter()
            .map(|secret| {
                self.check_length(name, &secret, least);
                secret.into()
            })
            .collect()
    }

    fn check_length(&mut self, name: &str, value: &str, least: usize) {
        if !value.is_empty() && value.len() < least {
            self.problem(name, format!("must have at least {least} bytes, has {}", value.len()));
        }
    }

    pub fn parsed<T: FromStr>(&mut self, name: &str, default: &'static str) -> T {
        let value = self.text(name, default);
        value.parse().unwrap_or_else(|_| {
            self.problem(name, format!("is malformed: {value:?}; an example: {default}"));
            match default.parse() {
                Ok(parsed) => parsed,
                Err(_) => unreachable!("the default of {name} parses"),
            }
        })
    }

    pub fn bounded<T: FromStr + PartialOrd + fmt::Display + Copy>(
        &mut self,
        name: &str,
        default: T,
        least: T,
        most: T,
    ) -> T {
        let Some(value) = self.optional(name) else { return default };
        match value.parse::<T>() {
            Ok(number) if number >= least && number <= most => number,
            _ => {
                self.problem(name, format!("must be a number from {least} to {most}, is {value:?}"));
                default
            }
        }
    }

    /// A time with its unit, as `90s`, `15m`, `12h` or `30d`; a bare number is seconds.
    pub fn duration(&mut self, name: &str, default: &str) -> Duration {
        let value = self.optional(name).unwrap_or_else(|| default.to_owned());
        duration(&value).unwrap_or_else(|| {
            self.problem(name, format!("must be a time as 90s, 15m, 12h or 30d, is {value:?}"));
            Duration::from_secs(1)
        })
    }

    pub fn boolean(&mut self, name: &str, default: bool) -> bool {
        let choices = [("true", true), ("1", true), ("yes", true), ("false", false), ("0", false), ("no", false)];
        self.choice(name, &choices, default)
    }

    pub fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)], default: T) -> T {
        let Some(value) = self.optional(name) else { return default };
        let found = choices.iter().find(|(text, _)| value.eq_ignore_ascii_case(text));
        found.map(|(_, choice)| *choice).unwrap_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(text, _)| *text).collect();
            self.problem(name, format!("must be one of {}, is {value:?}", names.join(", ")));
            default
        })
    }

    /// One of five levels, also by the names that other programs have for them, or a filter such as `info,sqlx=debug`. A
    /// bare word that is no level would be taken for a target, and nothing logged.
    pub fn log_level(&mut self, name: &str) -> String {
        const DEFAULT: &str = "info";
        let value = self.text(name, DEFAULT);
        let parts: Option<Vec<String>> = split(&value).iter().map(|part| log_directive(part)).collect();
        match parts.filter(|parts| !parts.is_empty()) {
            Some(parts) => parts.join(","),
            None => {
                let message = "must be trace, debug, info, warn or error, or a filter such as info,sqlx=debug";
                self.problem(name, format!("{message}, is {value:?}"));
                DEFAULT.to_owned()
            }
        }
    }

    /// The value may hold a password, so it is not repeated in the message.
    pub fn http_url(&mut self, name: &str) -> String {
        let value = self.required(name);
        let valid =
            reqwest::Url::parse(&value).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !value.is_empty() && !valid {
            self.problem(name, "must be a URL that begins with http:// or https://");
        }
        value.trim_end_matches('/').to_owned()
    }

    /// The value may hold a password, so it is not repeated in the message.
    pub fn redis_url(&mut self, name: &str) -> SecretString {
        let schemes = ["redis", "rediss"];
        let value = self.required(name);
        let valid = reqwest::Url::parse(&value).is_ok_and(|url| schemes.contains(&url.scheme()));
        if !value.is_empty() && !valid {
            self.problem(name, format!("must be a URL that begins with {}://", schemes.join(":// or ")));
        } else if valid && value.as_str().into_connection_info().is_err() {
            self.problem(name, "must be a URL of the form redis://user:password@host:port/number");
        }
        value.into()
    }

    pub fn database_url(&mut self, name: &str) -> SecretString {
        let value =
            self.required(name).replacen("mysql+asyncmy://", "mysql://", 1).replacen("mariadb://", "mysql://", 1);
        let valid = reqwest::Url::parse(&value).is_ok_and(|url| url.scheme() == "mysql" && url.path().len() > 1)
            && MySqlConnectOptions::from_str(&value).is_ok();
        if !value.is_empty() && !valid {
            self.problem(name, "must be a URL of the form mysql://user:password@host:port/database");
        }
        value.into()
    }

    pub fn list(&mut self, name: &str) -> Vec<String> {
        split(&self.text(name, ""))
    }

    /// Origins; `*` is any.
    pub fn origins(&mut self, name: &str) -> Vec<String> {
        let mut origins = Vec::new();
        for item in self.list(name) {
            if item == "*" {
                origins.push(item);
                continue;
            }
            match reqwest::Url::parse(&item).map(|url| url.origin()) {
                Ok(origin) if origin.is_tuple() => origins.push(origin.ascii_serialization()),
                _ => self
                    .problem(name, format!("has {item:?}, which is neither * nor an origin like https://app.example")),
            }
        }
        origins
    }

    pub fn networks(&mut self, name: &str) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for item in self.list(name) {
            match item.parse::<IpNet>().or_else(|_| item.parse::<IpAddr>().map(IpNet::from)) {
                Ok(network) => networks.push(network),
                Err(_) => self.problem(name, format!("has {item:?}, which is no CIDR")),
            }
        }
        networks
    }

    pub fn socket_addresses(&mut self, name: &str, default: &str, port: u16) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        let value = self.text(name, default);
        let items = split(&value);
        if items.is_empty() && !value.is_empty() {
            self.problem(name, "names none");
        }
        for item in items {
            match item.parse::<SocketAddr>().or_else(|_| item.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, port))) {
                Ok(address) => addresses.push(address),
                Err(_) => self.problem(name, format!("has {item:?}, which is not of the form address[:port]")),
            }
        }
        addresses
    }

    /// `host[:port]`, the host an address or a name; absent is none.
    pub fn host_and_port(&mut self, name: &str, port: u16) -> Option<String> {
        let text = self.text(name, "");
        if text.is_empty() {
            return None;
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Some(address.to_string());
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Some(SocketAddr::new(address, port).to_string());
        }
        let (host, port) = match text.split_once(':') {
            Some((host, given)) => (host, given.parse().ok()),
            None => (text.as_str(), Some(port)),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        match port.filter(|_| !host.is_empty() && host.chars().all(is_name)) {
            Some(port) => Some(format!("{host}:{port}")),
            None => {
                self.problem(name, "is not of the form host[:port]");
                None
            }
        }
    }

    pub fn host_names(&mut self, name: &str) -> Vec<String> {
        let mut names = Vec::new();
        for item in self.list(name) {
            let host = item.trim_end_matches('.').to_ascii_lowercase();
            let valid = host.len() <= 253
                && host.contains('.')
                && host.split('.').all(|label| {
                    (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                });
            if valid {
                names.push(host);
            } else {
                self.problem(name, format!("has {item:?}, which is no host name"));
            }
        }
        names
    }
}

/// Reads a time with its unit, from a second to a century.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit.trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let most = 100 * 366 * 86_400; // a century, so that no date overflows
    let seconds = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (1..=most).contains(&seconds).then(|| Duration::from_secs(seconds))
}

/// A part of a filter of the log, if it is one.
fn log_directive(part: &str) -> Option<String> {
    if part.contains('=') {
        return part.parse::<Directive>().is_ok().then(|| part.to_owned());
    }
    let level = match part.to_ascii_lowercase().as_str() {
        "warning" => "warn",
        "critical" | "fatal" => "error",
        "trace" => "trace",
        "debug" => "debug",
        "info" => "info",
        "warn" => "warn",
        "error" => "error",
        _ => return None,
    };
    Some(level.to_owned())
}

fn split(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}
