//! Where the API is and who calls: from the environment, or from `~/.config/scaidns/config.toml`.

use std::io::ErrorKind;
use std::path::PathBuf;

use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::super::Failure;

const URL: &str = "SCAIDNS_URL";
const API_KEY: &str = "SCAIDNS_API_KEY";

#[derive(Debug)]
pub struct Settings {
    /// Without a trailing slash.
    pub url: String,
    pub api_key: SecretString,
}

/// The file. The environment wins over each of its lines.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    url: Option<String>,
    api_key: Option<SecretString>,
}

impl Settings {
    pub fn read() -> Result<Self, Failure> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let (given_url, given_key) = (set(URL), set(API_KEY));
        let path = path();
        // where nothing of it would count, nothing in it matters
        let is_wanted = given_url.is_none() || given_key.is_none();
        let file = match path.as_ref().filter(|_| is_wanted).map(std::fs::read_to_string) {
            Some(Ok(text)) => Self::parse(&text).map_err(|error| at(path.as_ref(), &error))?,
            Some(Err(error)) if error.kind() != ErrorKind::NotFound => {
                return Err(at(path.as_ref(), &error.to_string()));
            }
            Some(Err(_)) | None => File::default(),
        };
        let missing = |name: &str, line: &str| {
            let file = path.as_ref().map_or_else(String::new, |path| format!(", or {line} in {}", path.display()));
            Failure::Usage(format!("set {name}{file}"))
        };
        let url = given_url.or(file.url).ok_or_else(|| missing(URL, "url"))?;
        let is_http = Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !is_http {
            return Err(Failure::Usage(format!("the URL of the API must begin with http:// or https://, is {url:?}")));
        }
        let api_key = given_key.map(SecretString::from).or(file.api_key);
        let api_key = api_key.ok_or_else(|| missing(API_KEY, "api_key"))?;
        if HeaderValue::from_str(api_key.expose_secret()).is_err() {
            return Err(Failure::Usage("the API key has characters that none has".into()));
        }
        Ok(Self { url: url.trim_end_matches('/').to_owned(), api_key })
    }

    fn parse(text: &str) -> Result<File, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }
}

fn path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))?;
    Some(folder.join("scaidns").join("config.toml"))
}

fn at(path: Option<&PathBuf>, problem: &str) -> Failure {
    Failure::Usage(format!("{}: {problem}", path.map_or_else(String::new, |path| path.display().to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_two_lines_and_no_others() {
        let file = Settings::parse("url = \"https://dns.example\"\napi_key = \"sdk_live_x\"\n").expect("good");
        assert_eq!(file.url.as_deref(), Some("https://dns.example"));
        assert!(file.api_key.is_some());
        assert!(Settings::parse("").expect("empty").url.is_none());
        let error = Settings::parse("api_kee = \"sdk_live_x\"").expect_err("misspelt");
        assert!(error.contains("api_kee") && !error.contains("sdk_live"), "{error}");
    }
}
