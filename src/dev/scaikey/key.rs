//! The RS256 signing keys: the first made at the first start, the one in use kept with mode 0600.

use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::dev::{DevError, files};

const FILE: &str = "signing-key.pkcs8";

/// The key in use, and those that are still published.
#[derive(Debug)]
pub(super) struct KeyRing {
    folder: PathBuf,
    /// The last one signs.
    published: Vec<SigningKey>,
}

impl KeyRing {
    pub(super) fn load_or_create(folder: &Path) -> Result<Self, DevError> {
        Ok(Self { folder: folder.to_owned(), published: vec![SigningKey::load_or_create(folder)?] })
    }

    /// A new key signs from now on; the others stay published. Answers its id.
    pub(super) fn rotate(&mut self) -> Result<String, DevError> {
        let key = SigningKey::create(&self.folder)?;
        let kid = key.kid.clone();
        self.published.push(key);
        Ok(kid)
    }

    /// What it has signed is good no more. The key in use cannot be retired.
    pub(super) fn retire(&mut self, kid: &str) -> bool {
        let in_use = self.published.len() - 1;
        let found = self.published.iter().position(|key| key.kid == kid).filter(|position| *position != in_use);
        found.map(|position| self.published.remove(position)).is_some()
    }

    /// The document that verifiers fetch.
    pub(super) fn jwks(&self) -> Value {
        json!({ "keys": self.published.iter().map(SigningKey::jwk).collect::<Vec<_>>() })
    }

    /// A compact JWS over these claims.
    pub(super) fn sign(&self, claims: &Map<String, Value>) -> Option<String> {
        self.published.last()?.sign(claims)
    }

    /// The claims of a token that one of these keys has signed; times are for the caller to judge.
    pub(super) fn verify(&self, token: &str) -> Option<Map<String, Value>> {
        self.published.iter().find_map(|key| key.verify(token))
    }
}

fn broken(path: &Path, what: &str) -> DevError {
    DevError::HalfInitialised { path: path.display().to_string(), what: what.to_owned() }
}

/// One key pair and its id.
struct SigningKey {
    pair: KeyPair,
    kid: String,
    modulus: String,
    exponent: String,
}

impl SigningKey {
    fn load_or_create(folder: &Path) -> Result<Self, DevError> {
        let path = folder.join(FILE);
        let Some(text) = files::read_if_there(&path)? else { return Self::create(folder) };
        let der = STANDARD.decode(text.trim()).map_err(|_| broken(&path, "not base 64"))?;
        Ok(Self::new(KeyPair::from_pkcs8(&der).map_err(|_| broken(&path, "not an RSA key"))?))
    }

    /// A new one, kept in place of what was.
    fn create(folder: &Path) -> Result<Self, DevError> {
        files::make_folder(folder)?;
        let path = folder.join(FILE);
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| broken(&path, "no key could be made"))?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| broken(&path, "no key could be made"))?;
        files::write_private(&path, STANDARD.encode(der.as_ref()))?;
        Ok(Self::new(pair))
    }

    fn new(pair: KeyPair) -> Self {
        let public = pair.public_key();
        let kid = hex::encode(&Sha256::digest(public.as_ref())[..8]);
        let modulus = URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
        let exponent = URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
        Self { kid, modulus, exponent, pair }
    }

    fn jwk(&self) -> Value {
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": self.modulus, "e": self.exponent,
        })
    }

    /// A compact JWS over these claims.
    fn sign(&self, claims: &Map<String, Value>) -> Option<String> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.kid});
        let claims = serde_json::to_vec(claims).ok()?;
        let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature).ok()?;
        token.push('.');
        token += &URL_SAFE_NO_PAD.encode(signature);
        Some(token)
    }

    /// The claims of a token that this key has signed; times are for the caller to judge.
    fn verify(&self, token: &str) -> Option<Map<String, Value>> {
        let key = DecodingKey::from_rsa_components(&self.modulus, &self.exponent).ok()?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        jsonwebtoken::decode(token, &key, &validation).ok().map(|token| token.claims)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}
