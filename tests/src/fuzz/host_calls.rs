//! What guests hand to the host's own functions: no input makes the host's code fail, and none gets a guest further than its grants.

use looma::plugins::{
    CallError,
    grants::{Grants, GrantsText},
};

use super::{Bench, Chance, name};

/// The guests that do as they are told, by the first byte of an input.
const GUESTS: [&str; 4] = ["fetch", "keys", "connect", "lookup"];

/// Keys for the one with keys, a range that nothing is in for the ones that look at the network.
pub(super) fn grant(bench: &Bench) {
    let net = vec!["192.0.2.0/32:1".to_owned()];
    for (guest, text) in [
        ("keys", GrantsText { kv_bytes: 10_000, ..GrantsText::default() }),
        ("connect", GrantsText { net, ..GrantsText::default() }),
    ] {
        bench.plugins.set_grants(&name(guest), Grants::parse(&text).expect("the grants can be read"));
    }
}

pub(super) fn input(chance: &mut Chance) -> Vec<u8> {
    let words: [&[u8]; 20] = [
        b"GET",
        b"g",
        b"s",
        b"d",
        b"http://127.0.0.1:1/",
        b"http://localhost/",
        b"https://[::1]/",
        b"127.0.0.1",
        b"::1",
        b"[::1]",
        b"80",
        b"0",
        b"65536",
        b"token",
        b"Host",
        b"x-own",
        b"\r\n",
        b"",
        b"\xf0\x9f\xa6\x80",
        b"\0",
    ];
    let mut bytes = vec![chance.number() as u8];
    for _ in 0..chance.below(9) {
        if bytes.len() > 1 {
            bytes.push(31);
        }
        bytes.extend(chance.pick(&words));
    }
    if chance.once_in(2) {
        chance.damage(&mut bytes, b"\x1f\x1f\x1f:/@[]%\xff");
    }
    bytes
}

pub(super) async fn check(bench: &Bench, input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let guest = GUESTS[usize::from(*first) % GUESTS.len()];
    let cursor = String::from_utf8_lossy(rest).into_owned();
    match bench.plugins.discover(&name(guest), "{\"misdeed\":true}", Some(cursor)).await {
        Ok(_) => assert_eq!(guest, "keys", "nothing else is granted"),
        Err(CallError::Permanent(why)) => assert!(!["connected", "refused"].contains(&&*why), "{why}"),
        Err(CallError::Trap(why)) => assert!(!why.contains("host's own code"), "{why}"),
        Err(CallError::Contract(_) | CallError::Limit(_) | CallError::Timeout) => {}
        Err(other) => panic!("{other:?}"),
    }
    let honest = bench.plugins.discover(&name(guest), "{}", None).await.expect("an honest call is answered");
    assert_eq!((honest.page.targets.len(), honest.page.next), (0, None));
    bench.assert_well().await;
}
