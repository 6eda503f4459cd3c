//! URLs before grants: whatever is let through leads where another, plainer reader of URLs says that it leads, and that is what was
//! granted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use looma::plugins::grants::{Grants, GrantsText};
use reqwest::Url;

use super::Chance;

/// Parts of URLs, good and bad.
const SCHEMES: [&str; 7] = ["http:", "https:", "HTTP:", "ht\ttp:", "file:", "", "ws:"];
const SLASHES: [&str; 7] = ["//", "//", "//", "/", "\\\\", "///", ""];
const USERS: [&str; 9] = ["", "", "", "", "", "a@", "a:b@", "api.example.com@", "@"];
const HOSTS: [&str; 24] = [
    "api.example.com",
    "API.example.COM",
    "example.com",
    "x.api.example.com",
    "evil.example",
    "api.example.com.evil.example",
    "apixexample.com",
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "2130706433",
    "0177.0.0.1",
    "127.0.0.1.",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[0:0::1]",
    "localhost",
    "127.0.0.1.evil.example",
    "api.example.com.",
    "ａpi.example.com",
    "api%2eexample.com",
    "",
    "a b",
    "1.2.3.4.5",
];
const PORTS: [&str; 9] = ["", "", "", ":80", ":443", ":8080", ":", ":080", ":99999"];
const ENDS: [&str; 10] = [
    "",
    "/",
    "/a/../b",
    "?q@api.example.com",
    "#@api.example.com",
    "\\@api.example.com",
    "/@api.example.com:80/",
    "\n",
    " ",
    "\0",
];

pub(super) fn input(chance: &mut Chance) -> Vec<u8> {
    let grants = ["http://", "https://", "GET http://", "http://*.", "https://*."];
    let mut text = format!("{}{}{}\n", chance.pick(&grants), chance.pick(&HOSTS), chance.pick(&PORTS));
    for parts in [&SCHEMES[..], &SLASHES, &USERS, &HOSTS, &PORTS, &ENDS] {
        text.push_str(chance.pick(parts));
    }
    let mut bytes = text.into_bytes();
    if chance.once_in(5) {
        chance.damage(&mut bytes, b"@:/\\?#[]%.\t\0");
    }
    bytes
}

pub(super) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Some((granted, asked)) = text.split_once('\n') else { return };
    let Ok(grants) = Grants::parse(&GrantsText { http: vec![granted.to_owned()], ..GrantsText::default() }) else {
        return;
    };
    let Ok(url) = Url::parse(asked) else { return };
    let Ok(place) = grants.place("GET", &url) else { return };
    assert!(matches!(url.scheme(), "http" | "https"), "{asked:?}");
    let Some((scheme, host, port)) = plainly(asked) else { return };
    let led = place.host.parse().map_or_else(|_| place.host.clone(), |address: IpAddr| address.to_string());
    assert_eq!((url.scheme(), led, place.port), (&*scheme, host.clone(), port), "{asked:?} under {granted:?}");
    let grant = granted.strip_prefix("GET ").unwrap_or(granted);
    let (below, grant) = match grant.split_once("://*.") {
        Some((scheme, rest)) => (true, format!("{scheme}://{rest}")),
        None => (false, grant.to_owned()),
    };
    let Some((granted_scheme, granted_host, granted_port)) = plainly(&grant) else { return };
    assert_eq!((scheme, port), (granted_scheme, granted_port), "{asked:?} under {granted:?}");
    match below {
        true => assert!(host.ends_with(&format!(".{granted_host}")), "{asked:?} under {granted:?}"),
        false => assert_eq!(host, granted_host, "{asked:?} under {granted:?}"),
    }
}

/// Scheme, host and port of a URL, read by the rules of the URL standard as far as they are about ASCII; `None` where they are not.
fn plainly(text: &str) -> Option<(String, String, u16)> {
    let text = text.trim_matches(|c: char| c <= ' ').replace(['\t', '\n', '\r'], "");
    let (scheme, rest) = text.split_once(':')?;
    let scheme = scheme.to_ascii_lowercase();
    let rest = rest.trim_start_matches(['/', '\\']);
    let authority = rest.split(['/', '\\', '?', '#']).next()?;
    if !authority.is_ascii() || authority.contains('%') {
        return None;
    }
    let place = authority.rsplit('@').next()?;
    let (host, port) = match place.strip_prefix('[') {
        Some(six) => {
            let (address, after) = six.split_once(']')?;
            (address.parse::<Ipv6Addr>().ok()?.to_string(), after.strip_prefix(':').unwrap_or(after))
        }
        None => {
            let (host, port) = place.split_once(':').unwrap_or((place, ""));
            (four(host).unwrap_or_else(|| host.to_ascii_lowercase()), port)
        }
    };
    let port = match (port, &*scheme) {
        ("", "http") => 80,
        ("", _) => 443,
        (port, _) => port.parse().ok()?,
    };
    Some((scheme, host, port))
}

/// An IPv4 address in any of its old spellings, written as it is today.
fn four(host: &str) -> Option<String> {
    let parts: Vec<&str> = host.strip_suffix('.').unwrap_or(host).split('.').collect();
    let number = |text: &str| match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some("") => Some(0),
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    };
    let numbers: Option<Vec<u32>> = parts.iter().map(|part| number(part)).collect();
    let (last, first) = numbers.as_ref()?.split_last()?;
    if first.len() > 3 || first.iter().any(|&number| number > 255) {
        return None;
    }
    let high = first.iter().enumerate().map(|(n, &number)| number << (24 - 8 * n)).sum::<u32>();
    Some(Ipv4Addr::from(high.checked_add(*last)?).to_string())
}
