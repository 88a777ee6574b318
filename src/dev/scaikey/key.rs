//! The RS256 signing key: made at the first start, kept with mode 0600.

use std::path::Path;

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

/// One key pair and its id.
pub(super) struct SigningKey {
    pair: KeyPair,
    kid: String,
    modulus: String,
    exponent: String,
}

impl SigningKey {
    pub(super) fn load_or_create(folder: &Path) -> Result<Self, DevError> {
        files::make_folder(folder)?;
        let path = folder.join(FILE);
        let broken = |what: &str| DevError::HalfInitialised { path: path.display().to_string(), what: what.to_owned() };
        let pair = match files::read_if_there(&path)? {
            Some(text) => {
                let der = STANDARD.decode(text.trim()).map_err(|_| broken("not base 64"))?;
                KeyPair::from_pkcs8(&der).map_err(|_| broken("not an RSA key"))?
            }
            None => {
                let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| broken("no key could be made"))?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| broken("no key could be made"))?;
                files::write_private(&path, STANDARD.encode(der.as_ref()))?;
                pair
            }
        };
        let public = pair.public_key();
        let kid = hex::encode(&Sha256::digest(public.as_ref())[..8]);
        let modulus = URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
        let exponent = URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
        Ok(Self { kid, modulus, exponent, pair })
    }

    /// The document that verifiers fetch.
    pub(super) fn jwks(&self) -> Value {
        json!({"keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": self.modulus, "e": self.exponent,
        }]})
    }

    /// A compact JWS over these claims.
    pub(super) fn sign(&self, claims: &Map<String, Value>) -> Option<String> {
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
    pub(super) fn verify(&self, token: &str) -> Option<Map<String, Value>> {
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
