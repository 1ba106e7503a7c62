use jsonwebtoken::get_current_timestamp;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;

use super::*;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64};

fn key(json: &Value) -> Result<Key, String> {
    let key = conf::read_consumer(&SCHEMAS, json).and_then(|conf| Key::new(&conf));
    key.map_err(|fault| fault.to_string())
}

/// The two parts of a token that are signed.
fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |json: &Value| BASE64.encode(json.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// A token signed with `s`, whatever its header says.
fn signed(header: &Value, claims: &Value) -> String {
    let unsigned = unsigned(header, claims);
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, b"s"),
        unsigned.as_bytes(),
    );
    format!("{unsigned}.{}", BASE64.encode(tag))
}

fn holds(key: &Key, token: &str, required: &[Claim]) -> bool {
    key.verify(token.as_bytes(), required).is_ok()
}

#[test]
fn a_consumers_algorithm_is_the_only_one() {
    let key = key(&json!({"key": "k", "secret": "s"})).unwrap();
    let claims = json!({"key": "k"});
    let hs256 = json!({"alg": "HS256", "typ": "JWT"});
    assert!(holds(&key, &signed(&hs256, &claims), &[]));
    for header in [
        json!({"alg": "HS384"}),
        json!({"alg": "RS256"}),
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({}),
        json!({"alg": "HS256", "crit": ["exp"]}),
    ] {
        assert!(!holds(&key, &signed(&header, &claims), &[]), "{header}");
    }
    for token in [
        unsigned(&hs256, &claims),
        format!("{}.", unsigned(&hs256, &claims)),
        format!("{}.AAAA", unsigned(&hs256, &claims)),
        format!("{}.x", signed(&hs256, &claims)),
        String::new(),
    ] {
        assert!(!holds(&key, &token, &[]), "{token}");
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let private = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref(), &random).unwrap();
    // SubjectPublicKeyInfo of a point on P-256 (RFC 5480).
    let mut info = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01".to_vec();
    info.extend(b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00");
    info.extend(pair.public_key().as_ref());
    let body = BASE64_STANDARD.encode(&info);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    let es256 = key(&json!({"key": "k", "algorithm": "ES256", "public_key": pem})).unwrap();

    let claims = json!({"key": "k"});
    let right = unsigned(&json!({"alg": "ES256"}), &claims);
    let signature = pair.sign(&random, right.as_bytes()).unwrap();
    let right = format!("{right}.{}", BASE64.encode(signature));
    assert!(holds(&es256, &right, &[]));

    // Signed with what everybody knows, as if it were a shared secret.
    let forged = unsigned(&json!({"alg": "HS256"}), &claims);
    let known = hmac::Key::new(hmac::HMAC_SHA256, pem.as_bytes());
    let tag = hmac::sign(&known, forged.as_bytes());
    let forged = format!("{forged}.{}", BASE64.encode(tag));
    assert!(!holds(&es256, &forged, &[]));

    for other in ["RS256", "ES384", "PS512", "EdDSA"] {
        let said = key(&json!({"key": "k", "algorithm": other, "public_key": pem})).unwrap_err();
        assert!(
            said.starts_with(&format!("public_key: expected a public key for {other}")),
            "{said}"
        );
    }
}

#[test]
fn a_token_holds_from_nbf_until_exp() {
    let strict = key(&json!({"key": "k", "secret": "s"})).unwrap();
    let graceful = json!({"key": "k", "secret": "s", "lifetime_grace_period": 1000});
    let graceful = key(&graceful).unwrap();
    let now = get_current_timestamp();
    for (claims, by_strict, by_graceful) in [
        (json!({}), true, true),
        (json!({"exp": now + 500}), true, true),
        (json!({"exp": now - 500}), false, true),
        (json!({"exp": now - 5000}), false, false),
        (json!({"nbf": now - 500}), true, true),
        (json!({"nbf": now + 500}), false, true),
        (json!({"nbf": now + 5000}), false, false),
        (json!({"exp": "never"}), false, false),
        (json!({"nbf": {}}), false, false),
        (json!({"exp": -1}), false, false),
    ] {
        let token = signed(&json!({"alg": "HS256"}), &claims);
        assert_eq!(holds(&strict, &token, &[]), by_strict, "{claims}");
        assert_eq!(holds(&graceful, &token, &[]), by_graceful, "{claims}");
    }
    let token = signed(&json!({"alg": "HS256"}), &json!({"exp": now + 500}));
    assert!(holds(&strict, &token, &[Claim::Exp]));
    assert!(!holds(&strict, &token, &[Claim::Exp, Claim::Nbf]));
}

#[test]
fn what_is_wrong_of_a_consumer_is_named() {
    for (json, expected) in [
        (
            json!({"key": "k"}),
            "property \"secret\" is required when using HS based algorithms",
        ),
        (
            json!({"key": "k", "algorithm": "HS1", "secret": "s"}),
            "algorithm: matches none of the enum values",
        ),
        (
            json!({"key": "k", "algorithm": "ES512", "public_key": "x"}),
            "algorithm: ES512 is not supported: use ES256, ES384 or EdDSA",
        ),
        (
            json!({"key": "k", "algorithm": "none", "secret": "s"}),
            "algorithm: matches none of the enum values",
        ),
        (
            json!({"key": "k", "algorithm": "RS256", "secret": "s"}),
            "failed to validate dependent schema for \"algorithm\": value should match only one \
             schema, but matches none",
        ),
        (
            json!({"key": "k", "base64_secret": true, "secret": "!"}),
            "base64_secret required but the secret is not in base64 format",
        ),
        (
            json!({"key": "k", "secret": "s", "exp": 0}),
            "exp: expected 0 to be at least 1",
        ),
        (
            json!({"key": "k", "secret": "s", "lifetime_grace_period": -1}),
            "lifetime_grace_period: expected -1 to be at least 0",
        ),
    ] {
        let said = key(&json).unwrap_err();
        assert!(said.starts_with(expected), "{json}: {said}");
    }
}

#[test]
fn a_token_may_have_a_scheme_before_it() {
    assert_eq!(bare(b"Bearer x"), b"x");
    assert_eq!(bare(b"bearer  x"), b"x");
    assert_eq!(bare(b"x.y.z"), b"x.y.z");
}
