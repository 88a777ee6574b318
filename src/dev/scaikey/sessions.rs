//! What lies between a login and its tokens: authorization codes, good once and for a minute, and refresh tokens, good
//! once. Whoever presents either a second time ends the session, as it has been stolen from somebody.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// RFC 6749, 4.1.2 allows ten minutes; a program needs less.
const CODE_SECONDS: i64 = 60;
const REFRESH_SECONDS: i64 = 30 * 24 * 3_600;

/// The flavour that a token is made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Issuer {
    Platform,
    /// `tnt_…`
    Tenant(String),
}

impl Issuer {
    pub(super) fn url(&self, base: &str) -> String {
        match self {
            Self::Platform => base.to_owned(),
            Self::Tenant(id) => format!("{base}/tenants/{id}"),
        }
    }
}

/// A login.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: String,
    /// `usr_…`
    pub(super) user: String,
    pub(super) issuer: Issuer,
    pub(super) nonce: Option<String>,
    pub(super) scope: String,
}

#[derive(Debug)]
struct Code {
    session: Session,
    redirect_uri: String,
    challenge: String,
    until: i64,
    is_spent: bool,
}

#[derive(Debug)]
struct Refresh {
    session: Session,
    until: i64,
    is_spent: bool,
}

#[derive(Debug, Default)]
pub(super) struct Sessions {
    codes: HashMap<String, Code>,
    refresh: HashMap<String, Refresh>,
}

/// What is said of every grant that is not good: no more than that.
pub(super) type Refused = &'static str;

impl Sessions {
    /// A code for a login that has just happened.
    pub(super) fn code(&mut self, session: Session, redirect_uri: String, challenge: String, now: i64) -> String {
        self.codes.retain(|_, code| code.until > now);
        let text = random();
        let until = now + CODE_SECONDS;
        self.codes.insert(text.clone(), Code { session, redirect_uri, challenge, until, is_spent: false });
        text
    }

    /// The login behind a code.
    pub(super) fn redeem(
        &mut self,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
        issuer: &Issuer,
        now: i64,
    ) -> Result<Session, Refused> {
        let found = self.codes.get_mut(code).ok_or("the code is unknown or has expired")?;
        if found.is_spent {
            let id = found.session.id.clone();
            self.end(&id);
            return Err("the code was used before");
        }
        // whatever comes of it: a code is tried once
        found.is_spent = true;
        if found.until <= now {
            return Err("the code is unknown or has expired");
        }
        if found.redirect_uri != redirect_uri {
            return Err("redirect_uri is not the one that was authorized");
        }
        if found.session.issuer != *issuer {
            return Err("the code is of another issuer");
        }
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        if !(43..=128).contains(&verifier.len()) || challenge != found.challenge {
            return Err("code_verifier does not match the challenge");
        }
        Ok(found.session.clone())
    }

    pub(super) fn refresh_token(&mut self, session: Session, now: i64) -> String {
        self.refresh.retain(|_, token| token.until > now);
        let text = random();
        self.refresh.insert(text.clone(), Refresh { session, until: now + REFRESH_SECONDS, is_spent: false });
        text
    }

    /// The login behind a refresh token, which is spent by that.
    pub(super) fn rotate(&mut self, token: &str, issuer: &Issuer, now: i64) -> Result<Session, Refused> {
        let found = self.refresh.get_mut(token).ok_or("the refresh token is unknown, revoked or has expired")?;
        if found.is_spent {
            let id = found.session.id.clone();
            self.end(&id);
            return Err("the refresh token was used before");
        }
        if found.until <= now || found.session.issuer != *issuer {
            return Err("the refresh token is unknown, revoked or has expired");
        }
        found.is_spent = true;
        Ok(found.session.clone())
    }

    /// Revokes a refresh token, and with it the session.
    pub(super) fn revoke(&mut self, token: &str) {
        if let Some(id) = self.refresh.get(token).map(|found| found.session.id.clone()) {
            self.end(&id);
        }
    }

    /// No refresh token of this session is good any more.
    pub(super) fn end(&mut self, session: &str) {
        self.refresh.retain(|_, token| token.session.id != session);
    }
}

/// 256 random bits.
pub(super) fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    /// RFC 7636, appendix B.
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn session() -> Session {
        let (id, user) = ("s".to_owned(), "usr_1".to_owned());
        Session { id, user, issuer: Issuer::Platform, nonce: None, scope: "openid".into() }
    }

    #[test]
    fn a_code_is_good_once_for_who_holds_the_verifier() {
        let mut sessions = Sessions::default();
        let uri = "http://127.0.0.1/cb";
        let mut code = || sessions.code(session(), uri.into(), CHALLENGE.into(), 0);
        let (good, other_uri, other_verifier, late) = (code(), code(), code(), code());
        let mut redeem = |code: &str, verifier: &str, uri: &str, now| {
            sessions.redeem(code, verifier, uri, &Issuer::Platform, now).map(|session| session.user)
        };
        assert_eq!(redeem(&good, VERIFIER, uri, 1), Ok("usr_1".into()));
        for (code, verifier, uri, now) in [
            (&good, VERIFIER, uri, 1),
            (&other_uri, VERIFIER, "http://127.0.0.1/other", 1),
            (&other_verifier, &VERIFIER.replace('d', "e"), uri, 1),
            (&other_verifier, VERIFIER, uri, 1),
            (&late, VERIFIER, uri, CODE_SECONDS),
        ] {
            assert!(redeem(code, verifier, uri, now).is_err(), "{verifier} {uri} {now}");
        }
    }

    #[test]
    fn a_refresh_token_that_comes_twice_ends_the_session() {
        let mut sessions = Sessions::default();
        let first = sessions.refresh_token(session(), 0);
        sessions.rotate(&first, &Issuer::Platform, 1).expect("good once");
        let second = sessions.refresh_token(session(), 1);
        assert!(sessions.rotate(&first, &Issuer::Platform, 2).is_err());
        assert!(sessions.rotate(&second, &Issuer::Platform, 2).is_err(), "the thief's or the owner's: nobody knows");
    }
}
