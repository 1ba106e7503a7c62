//! Cipher suites by OpenSSL's names, which are those of configurations and variables.

use outrigger_model::CIPHER_SUITES;
use rustls::crypto::ring::cipher_suite as suite;
use rustls::crypto::{CryptoProvider, ring};
use rustls::{CipherSuite, SupportedCipherSuite};

fn named(name: &str) -> Option<SupportedCipherSuite> {
    Some(match name {
        "ECDHE-ECDSA-AES256-GCM-SHA384" => suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES128-GCM-SHA256" => suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305" => suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-AES256-GCM-SHA384" => suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES128-GCM-SHA256" => suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305" => suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        _ => return None,
    })
}

/// The name of a suite.
pub(super) fn name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        suite => {
            let mut names = CIPHER_SUITES.into_iter();
            let same = |name: &&str| named(name).is_some_and(|known| known.suite() == suite);
            names.find(same).unwrap_or("unknown")
        }
    }
}

/// The cryptography with these suites of TLS 1.2, in their order; with all where there
/// is none.
pub(super) fn provider(names: &[&str]) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !names.is_empty() {
        provider
            .cipher_suites
            .retain(|suite| suite.version() == &rustls::version::TLS13);
        let chosen = names.iter().filter_map(|name| named(name));
        provider.cipher_suites.extend(chosen);
    }
    provider
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_that_is_spoken_has_a_name() {
        for suite in ring::default_provider().cipher_suites {
            assert_ne!(name(suite.suite()), "unknown", "{suite:?}");
        }
        for name_of in CIPHER_SUITES {
            assert_eq!(
                named(name_of).map(|suite| name(suite.suite())),
                Some(name_of)
            );
        }
    }

    #[test]
    fn suites_that_are_chosen_leave_out_the_others() {
        let all = provider(&[]).cipher_suites.len();
        let chosen = ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"];
        let provider = provider(&chosen);
        let names: Vec<_> = provider
            .cipher_suites
            .iter()
            .map(|it| name(it.suite()))
            .collect();
        assert_eq!(names[names.len() - 2..], chosen);
        assert_eq!(names.len(), all - CIPHER_SUITES.len() + 2);
    }
}
