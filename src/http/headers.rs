//! Security headers, on every response whatever its status.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, SERVER,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};

/// What a response carries unless its handler chose a stricter or page-specific value itself.
///
/// ASVS 3.2.1 (an API answer is no document), 3.4.1 (HSTS on all), 3.4.3 to 3.4.6, 3.4.8, 3.5.8, 14.3.2.
pub(crate) const SECURITY: [(HeaderName, HeaderValue); 12] = [
    (STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox",
        ),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS)),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-embedder-policy"), HeaderValue::from_static("require-corp")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), HeaderValue::from_static("none")),
    // The filter that this header switched on had holes of its own: current advice is to switch it off.
    (X_XSS_PROTECTION, HeaderValue::from_static("0")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Device and tracking features, none of which an API needs.
const PERMISSIONS: &str = "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), \
    geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()";

/// Adds [`SECURITY`] to `headers`, keeping what is there, and takes out what names the software.
pub(crate) fn secure(headers: &mut HeaderMap) {
    headers.reserve(SECURITY.len() + 4);
    for (name, value) in SECURITY {
        headers.entry(name).or_insert(value);
    }
    headers.remove(SERVER);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ASVS: 13.4.6, 14.3.2
    #[test]
    fn a_page_keeps_its_own_policy_and_the_software_stays_unnamed() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        headers.insert(SERVER, HeaderValue::from_static("made of this and that/1.2"));
        secure(&mut headers);
        assert_eq!(headers[CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert!(!headers.contains_key(SERVER));
        assert_eq!(headers.len(), SECURITY.len());
    }
}
