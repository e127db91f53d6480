//! Numbers as Redis reads and writes them: strict decimal integers, and time limits as doubles.

use bytes::{BufMut, BytesMut};

/// A 64-bit integer in Redis's strict form: no sign but `-`, no leading zero, no space, no `-0`.
pub fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let first = *digits.first()?;
    if first == b'0' {
        return (digits.len() == 1 && !negative).then_some(0);
    }
    if digits.len() > 19 {
        return None;
    }
    let mut value: u64 = 0;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// A floating point number as C's `strtold` reads it whole: decimal, exponent, hexadecimal integer, `inf`; never NaN.
pub fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1.0, text.get(1..)?),
        b'+' => (1.0, text.get(1..)?),
        _ => (1.0, text),
    };
    if let Some(hex) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        if hex.is_empty() || hex.len() > 16 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        return u64::from_str_radix(hex, 16).ok().map(|value| sign * value as f64);
    }
    let value: f64 = text.parse().ok()?;
    (!value.is_nan()).then_some(value)
}

/// Appends `value` in decimal.
pub fn put_integer(out: &mut BytesMut, value: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        if let Some(slot) = digits.get_mut(at) {
            *slot = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.put_u8(b'-');
    }
    out.put_slice(digits.get(at..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_strictly() {
        for (text, value) in
            [("0", 0), ("7", 7), ("-1", -1), ("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN)]
        {
            assert_eq!(integer(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["", "-", "+1", " 1", "1 ", "01", "-0", "1.0", "9223372036854775808", "-9223372036854775809", "1e3"] {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn floats_are_read_as_c_reads_them() {
        for (text, value) in [("0", 0.0), ("0.1", 0.1), ("-1", -1.0), ("1e3", 1000.0), ("0x10", 16.0), ("+.5", 0.5)] {
            assert_eq!(float(text.as_bytes()), Some(value), "{text}");
        }
        assert!(float(b"inf").is_some_and(f64::is_infinite));
        for text in ["", "nan", "1 ", " 1", "abc", "0x", "0xg"] {
            assert_eq!(float(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn integers_are_written_in_decimal() {
        for value in [0, 1, -1, 10, 99, i64::MAX, i64::MIN] {
            let mut out = BytesMut::new();
            put_integer(&mut out, value);
            assert_eq!(out, value.to_string().as_bytes());
        }
    }
}
