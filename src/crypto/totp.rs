//! Time-based one-time passwords (RFC 6238): HMAC-SHA-1, six digits, 30 seconds.
//!
//! SHA-1 because authenticator apps know nothing else reliably; inside HMAC its collisions do not matter
//! (ASVS 11.4.1, the one exception). A code holds for its step and the next one, for clocks that lag, and
//! each step once: the caller keeps the last used step and gives it back here.

use super::random;
use entity::time::Timestamp;
use qrcodegen_image::qrcodegen::{QrCode, QrCodeEcc};
use std::fmt::{self, Write};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

/// Seconds a step lasts.
pub const STEP_SECONDS: i64 = 30;
const DIGITS: usize = 6;
const SECRET: usize = 20;
/// Longest issuer and account name in the URI (characters), so that it always fits a QR code.
const MAX_LABEL: usize = 40;
/// White modules around a QR code (ISO/IEC 18004).
const QUIET_ZONE: i32 = 4;

/// The 160-bit secret shared with an authenticator app (RFC 4226 recommends this length).
#[derive(Clone)]
pub struct TotpSecret(Zeroizing<[u8; SECRET]>);

impl TotpSecret {
    /// A new random secret.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(random::bytes()))
    }

    /// The secret as stored (sealed): 20 bytes. `None` for any other length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// The 20 bytes, to seal and store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0[..]
    }

    /// The secret to type into an app: 32 characters of base32 (RFC 4648).
    #[must_use]
    pub fn base32(&self) -> String {
        self.totp("", "account").secret().to_base32()
    }

    /// The `otpauth://totp/…` URI that apps read. Colons and control characters are left out of the two
    /// names, and each is cut to 40 characters.
    #[must_use]
    pub fn otpauth_uri(&self, issuer: &str, account: &str) -> String {
        let uri = self.totp(issuer, account).to_url();
        uri.unwrap_or_else(|_| unreachable!("the account name is neither empty nor has a colon"))
    }

    /// The URI as a QR code: a PNG in a `data:` URI.
    #[must_use]
    pub fn qr_png_data_uri(&self, issuer: &str, account: &str) -> String {
        let png = self.totp(issuer, account).to_qr_base64();
        let png = png.unwrap_or_else(|_| unreachable!("the URI is shorter than a QR code's capacity"));
        format!("data:image/png;base64,{png}")
    }

    /// The URI as a QR code: an SVG element made of numbers only, safe to put into a page.
    #[must_use]
    pub fn qr_svg(&self, issuer: &str, account: &str) -> String {
        let uri = Zeroizing::new(self.otpauth_uri(issuer, account));
        let Ok(code) = QrCode::encode_text(&uri, QrCodeEcc::Medium) else {
            unreachable!("the URI is shorter than a QR code's capacity")
        };
        svg(&code)
    }

    /// The step that `code` is right for, if any: the current one or the one before, and later than
    /// `last_used`. Store the step with a conditional update: of two uses at once one must lose.
    ///
    /// Takes the same time for every code of the right form.
    #[must_use]
    pub fn check(&self, code: &str, now: Timestamp, last_used: Option<i64>) -> Option<i64> {
        let digits = parse(code)?;
        let current = step_at(now);
        let totp = self.totp("", "account");
        let mut matched = Choice::from(0);
        let mut found = i64::MIN;
        // The later step is asked last, and wins if both match.
        for step in [current - 1, current] {
            let Ok(start) = u64::try_from(step.saturating_mul(STEP_SECONDS)) else { continue };
            let expected = Zeroizing::new(totp.generate(start).to_string());
            let usable = Choice::from(u8::from(last_used.is_none_or(|last| step > last)));
            let equal = expected.as_bytes().ct_eq(&digits) & usable;
            found.conditional_assign(&step, equal);
            matched |= equal;
        }
        bool::from(matched).then_some(found)
    }

    fn totp(&self, issuer: &str, account: &str) -> Totp {
        let issuer = label(issuer);
        let account = Some(label(account)).filter(|name| !name.is_empty());
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_step_duration(30)
            .with_secret(*self.0)
            .with_issuer(Some(issuer).filter(|name| !name.is_empty()))
            .with_account_name(account.unwrap_or_else(|| "account".to_owned()))
            .build()
            .unwrap_or_else(|_| unreachable!("160 bits, six digits and names without colons are valid"))
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(redacted)")
    }
}

/// The step that the time `now` lies in.
#[must_use]
pub fn step_at(now: Timestamp) -> i64 {
    now.0.div_euclid(STEP_SECONDS * 1000)
}

/// Six ASCII digits; spaces anywhere are ignored, as apps show `123 456`.
fn parse(code: &str) -> Option<[u8; DIGITS]> {
    let mut digits = [0; DIGITS];
    let mut places = digits.iter_mut();
    for byte in code.bytes().filter(|byte| *byte != b' ') {
        if !byte.is_ascii_digit() {
            return None;
        }
        *places.next()? = byte;
    }
    places.next().is_none().then_some(digits)
}

fn label(text: &str) -> String {
    let kept: String = text.chars().filter(|c| *c != ':' && !c.is_control()).take(MAX_LABEL).collect();
    kept.trim().to_owned()
}

/// One path for the dark modules, a run a rectangle.
fn svg(code: &QrCode) -> String {
    let size = code.size();
    let full = size + 2 * QUIET_ZONE;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {full} {full}\" role=\"img\" \
         aria-label=\"QR code\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{full}v{full}h-{full}z\"/><path fill=\"#000\" d=\""
    );
    for y in 0..size {
        let mut x = 0;
        while x < size {
            let run = (x..size).take_while(|x| code.get_module(*x, y)).map(|_| 1).sum::<i32>();
            if run > 0 {
                let _ = write!(out, "M{} {}h{run}v1h-{run}z", x + QUIET_ZONE, y + QUIET_ZONE);
            }
            x += run.max(1);
        }
    }
    out.push_str("\"/></svg>");
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use base64::Engine;
    use proptest::prelude::*;
    use qrcodegen_image::image;

    const RFC_SECRET: &[u8] = b"12345678901234567890";

    fn rfc() -> TotpSecret {
        TotpSecret::from_bytes(RFC_SECRET).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    /// RFC 6238, appendix B (SHA-1), last six of the eight digits.
    ///
    /// ASVS: 6.5.5, 11.4.1
    #[test]
    fn the_codes_are_the_rfcs() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(rfc().check(code, at(seconds), None), Some(seconds / 30), "{seconds}");
        }
    }

    /// ASVS: 6.5.5
    #[test]
    fn a_code_holds_for_its_step_and_the_next_and_no_longer() {
        // The code of step 37037036, which starts at 1111111080.
        let start = 1_111_111_080;
        let step = start / 30;
        let check = |seconds| rfc().check("081804", at(seconds), None);
        assert_eq!(check(start - 1), None, "not before its step");
        assert_eq!(check(start), Some(step));
        assert_eq!(check(start + 29), Some(step));
        assert_eq!(check(start + 30), Some(step), "one step late");
        assert_eq!(check(start + 59), Some(step));
        assert_eq!(check(start + 60), None, "two steps late");
        assert_eq!(rfc().check("081804", Timestamp(start * 1000 - 1), None), None);
    }

    /// ASVS: 6.5.1
    #[test]
    fn a_used_step_is_never_accepted_again() {
        let now = at(1_111_111_109);
        let step = rfc().check("081804", now, None).unwrap();
        assert_eq!(rfc().check("081804", now, Some(step - 1)), Some(step));
        assert_eq!(rfc().check("081804", now, Some(step)), None);
        assert_eq!(rfc().check("081804", now, Some(step + 1)), None);
        let later = at(1_111_111_109 + 30);
        assert_eq!(rfc().check("081804", later, Some(step)), None);
    }

    #[test]
    fn codes_are_six_ascii_digits_and_spaces() {
        let check = |code: &str| rfc().check(code, at(59), None).is_some();
        assert!(check("287082") && check("287 082") && check(" 2 87082 "));
        for bad in [
            "",
            "28708",
            "2870820",
            "0287082",
            "28708a",
            "+87082",
            "-87082",
            "287-082",
            "287\t082",
            "287082\n",
            "２８７０８２",
            "٢٨٧٠٨٢",
            "94287082",
            "0x1234",
        ] {
            assert!(!check(bad), "{bad:?}");
        }
        assert!(!check("287083") && !check("000000"));
    }

    #[test]
    fn times_before_the_epoch_match_nothing() {
        assert_eq!(rfc().check("755224", Timestamp(-60_001), None), None);
        // HOTP counter 0 (RFC 4226, appendix D) is step 0.
        assert_eq!(rfc().check("755224", Timestamp(0), None), Some(0));
    }

    /// ASVS: 6.5.3
    #[test]
    fn secrets_are_160_random_bits() {
        let (one, two) = (TotpSecret::generate(), TotpSecret::generate());
        assert_ne!(one.as_bytes(), two.as_bytes());
        assert_eq!(one.as_bytes().len() * 8, 160);
        assert_eq!(one.base32().len(), 32);
        assert_eq!(rfc().base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(TotpSecret::from_bytes(one.as_bytes()).unwrap().base32(), one.base32());
        assert!(TotpSecret::from_bytes(&RFC_SECRET[1..]).is_none());
        assert_eq!(format!("{one:?}"), "TotpSecret(redacted)");
    }

    #[test]
    fn the_uri_is_what_apps_read() {
        assert_eq!(
            rfc().otpauth_uri("Acme & Co", "ada@example.org"),
            "otpauth://totp/Acme%20%26%20Co:ada%40example.org\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme%20%26%20Co"
        );
        assert!(rfc().otpauth_uri("a:b", "c:d\r\n").contains("/ab:cd?"));
        assert!(rfc().otpauth_uri("", ":").starts_with("otpauth://totp/account?secret="));
    }

    fn scan(width: usize, pixel: impl FnMut(usize, usize) -> u8) -> String {
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, width, pixel);
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1, "one code in the picture");
        grids[0].decode().unwrap().1
    }

    #[test]
    fn the_png_scans_as_the_uri() {
        let data = rfc().qr_png_data_uri("Portcullis", "ada@example.org");
        let base64 = data.strip_prefix("data:image/png;base64,").unwrap();
        let png = base64::engine::general_purpose::STANDARD.decode(base64).unwrap();
        let picture = image::load_from_memory(&png).unwrap().to_luma8();
        let seen = scan(picture.width().try_into().unwrap(), |x, y| {
            picture.get_pixel(x.try_into().unwrap(), y.try_into().unwrap()).0[0]
        });
        assert_eq!(seen, rfc().otpauth_uri("Portcullis", "ada@example.org"));
    }

    /// Draws the SVG's rectangles, eight pixels a module.
    fn draw(svg: &str) -> (usize, Vec<u8>) {
        let number = |text: &str| text.parse::<usize>().unwrap();
        let size = number(svg.split("viewBox=\"0 0 ").nth(1).unwrap().split(' ').next().unwrap());
        let path = svg.split("fill=\"#000\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        let width = size * 8;
        let mut pixels = vec![255; width * width];
        for run in path.split('M').skip(1) {
            let (x, rest) = run.split_once(' ').unwrap();
            let (y, rest) = rest.split_once('h').unwrap();
            let length = number(rest.split_once('v').unwrap().0);
            for row in number(y) * 8..number(y) * 8 + 8 {
                let start = row * width + number(x) * 8;
                pixels[start..start + length * 8].fill(0);
            }
        }
        (width, pixels)
    }

    /// ASVS: 1.2.1
    #[test]
    fn the_svg_scans_as_the_uri_and_carries_no_text_from_outside() {
        let svg = rfc().qr_svg("<script>\"'&", "</svg><script>alert(1)</script>");
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
        assert!(!svg.contains("script") && !svg.contains("alert") && svg.matches('<').count() == 4);
        let (width, pixels) = draw(&svg);
        let seen = scan(width, |x, y| pixels[y * width + x]);
        assert_eq!(seen, rfc().otpauth_uri("<script>\"'&", "</svg><script>alert(1)</script>"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_names_give_a_code(issuer: String, account: String) {
            let long = "\u{10ffff}".repeat(60);
            for (issuer, account) in [(&issuer, &account), (&long, &long)] {
                prop_assert!(rfc().otpauth_uri(issuer, account).starts_with("otpauth://totp/"));
                prop_assert!(rfc().qr_svg(issuer, account).ends_with("</svg>"));
                prop_assert!(rfc().qr_png_data_uri(issuer, account).len() > 100);
            }
        }

        #[test]
        fn any_text_is_a_code_or_refused(code: String, seconds: i64) {
            let _ = rfc().check(&code, Timestamp(seconds), Some(seconds));
        }
    }
}
