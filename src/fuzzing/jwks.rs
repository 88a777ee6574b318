//! ScaiKey's key set.

use super::{Outcome, seeds_of};
use crate::scaikey::read_key_set;

pub fn seeds() -> Vec<Vec<u8>> {
    let rsa = r#"{"kty":"RSA","kid":"a","use":"sig","alg":"RS256","n":"u1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0_IzW7yWR7QkrmBL7jTKEn5u-qKhbwKfBstIs-bMY2Zkp18gnTxKLxoS2tFczGkPLPgizskuemMghRniWaoLcyehkd3qqGElvW_VDL5AaWTg0nLVkjRo9z-40RQzuVaE8AkAFmxZzow3x-VJYKdjykkJ0iT9wCS0DRTXu269V264Vf_3jvredZiKRkgwlL9xNAwxXFg0x_XFw005UWVRIkdgcKWTjpBP2dPwVZ4WWC-9aGVd-Gyn1o0CLelf4rEjGoXbAAEgAqeGUxrcIlbjXfbcmw","e":"AQAB"}"#;
    let ec = r#"{"kty":"EC","kid":"b","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    let others = r#"{"kty":"oct","kid":"c","k":"c2VjcmV0"},{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},{"kty":"RSA","kid":"d","use":"enc","n":"AQAB","e":"AQAB"}"#;
    seeds_of([format!(r#"{{"keys":[{rsa},{ec},{others}]}}"#), r#"{"keys":[]}"#.to_owned(), "[]".to_owned()])
}

pub fn run(input: &[u8]) -> Outcome {
    match read_key_set(input) {
        Ok(ids) => {
            assert!((1..=64).contains(&ids.len()), "{} keys", ids.len());
            format!("{} keys", ids.len().min(3))
        }
        Err(error) => error,
    }
}
