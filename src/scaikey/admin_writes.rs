//! The admin API's write side. Nothing is repeated but what was refused for an old token.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::admin::{AdminApi, check_id};
use super::statement::{Member, Statement, TenantStatement, UserGroupStatement, UserStatement, Wire};
use super::{ScaiKeyError, http};

/// What is shown of ScaiKey's words.
const SHOWN_CHARACTERS: usize = 500;

/// Why nothing was written; after `ScaiKey` it is unknown whether.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// ScaiKey's own word.
    #[error("{detail}")]
    Refused { status: u16, detail: String },
    #[error(transparent)]
    ScaiKey(#[from] ScaiKeyError),
}

type Result<T> = std::result::Result<T, WriteError>;

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    detail: Value,
}

impl AdminApi {
    pub async fn create_user(&self, fields: &Map<String, Value>) -> Result<UserStatement> {
        self.write(Method::POST, "users/", Some(fields)).await
    }

    pub async fn invite_user(&self, fields: &Map<String, Value>) -> Result<UserStatement> {
        self.write(Method::POST, "users/invite", Some(fields)).await
    }

    pub async fn update_user(&self, id: &str, fields: &Map<String, Value>) -> Result<UserStatement> {
        check_id(id)?;
        self.write(Method::PATCH, &format!("users/{id}"), Some(fields)).await
    }

    pub async fn delete_user(&self, id: &str) -> Result<()> {
        check_id(id)?;
        self.send(Method::DELETE, &format!("users/{id}"), None).await.map(drop)
    }

    pub async fn set_password(&self, id: &str, password: &SecretString) -> Result<()> {
        check_id(id)?;
        let fields = fields(json!({ "password": password.expose_secret() }));
        self.send(Method::POST, &format!("users/{id}/password"), Some(&fields)).await.map(drop)
    }

    pub async fn resend_invite(&self, id: &str) -> Result<()> {
        check_id(id)?;
        self.send(Method::POST, &format!("users/{id}/resend-invite"), None).await.map(drop)
    }

    pub async fn create_group(&self, fields: &Map<String, Value>) -> Result<UserGroupStatement> {
        self.write(Method::POST, "groups/", Some(fields)).await
    }

    pub async fn update_group(&self, id: &str, fields: &Map<String, Value>) -> Result<UserGroupStatement> {
        check_id(id)?;
        self.write(Method::PATCH, &format!("groups/{id}"), Some(fields)).await
    }

    pub async fn delete_group(&self, id: &str) -> Result<()> {
        check_id(id)?;
        self.send(Method::DELETE, &format!("groups/{id}"), None).await.map(drop)
    }

    pub async fn add_member(&self, group: &str, member: &Member) -> Result<()> {
        check_id(group)?;
        let fields = fields(match member {
            Member::User(id) => json!({ "user_id": id }),
            Member::Group(id) => json!({ "group_id": id }),
        });
        self.send(Method::POST, &format!("groups/{group}/members"), Some(&fields)).await.map(drop)
    }

    pub async fn remove_member(&self, group: &str, member: &Member) -> Result<()> {
        let (Member::User(id) | Member::Group(id)) = member;
        check_id(group)?;
        check_id(id)?;
        self.send(Method::DELETE, &format!("groups/{group}/members/{id}"), None).await.map(drop)
    }

    pub async fn update_tenant(&self, id: &str, fields: &Map<String, Value>) -> Result<TenantStatement> {
        check_id(id)?;
        self.write(Method::PATCH, &format!("tenants/{id}"), Some(fields)).await
    }

    async fn write<T: Statement>(&self, method: Method, path: &str, fields: Option<&Map<String, Value>>) -> Result<T> {
        let answer = self.send(method, path, fields).await?;
        let wire = answer.get("data").and_then(Value::as_object).or(answer.as_object()).cloned().map(Wire);
        wire.and_then(|wire| T::from_wire(&wire)).ok_or_else(|| {
            let reason = "the answer to a write names nothing that was written".into();
            ScaiKeyError::Malformed { url: self.url(path), reason }.into()
        })
    }

    async fn send(&self, method: Method, path: &str, fields: Option<&Map<String, Value>>) -> Result<Value> {
        let url = self.url(path);
        let ask = async |token: SecretString| {
            let mut request = self.scaikey.inner().http.request(method.clone(), &url);
            if let Some(fields) = fields {
                request = request.json(fields);
            }
            http::json_or_refusal::<Value, Refusal>(&url, request.bearer_auth(token.expose_secret())).await
        };
        let mut answer = ask(self.token().await?).await?;
        if matches!(answer, http::Answered::Refused(401, _)) {
            // the token ended before its time, perhaps with a rotation: one fresh one
            self.forget_token().await;
            answer = ask(self.token().await?).await?;
        }
        match answer {
            http::Answered::Good(value) => Ok(value),
            http::Answered::Refused(status, Refusal { detail }) => {
                let text = detail.as_str().map_or_else(|| detail.to_string(), str::to_owned);
                let shown = text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARACTERS).collect();
                Err(WriteError::Refused { status, detail: shown })
            }
        }
    }
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
