//! Packets of DNS: whatever comes, an answer is one to it, has the size that was asked for, and answers no answer.

use looma::gateway::dns::{Found, Transport, reply};

use super::Chance;

/// What a question begins with: a header that says that there is one, in words of two bytes.
const HEADER: [u8; 12] = [0x12, 0x67, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
const NAMES: [&[u8]; 5] = [
    b"\x03web\x07service\x05looma\0",
    b"\x04_web\x04_tcp\x07service\x05looma\0",
    b"\x080a000007\x04addr\x05looma\0",
    b"\xc0\x0c",
    b"\0",
];
const KINDS: [&[u8]; 5] = [b"\0\x21\0\x01", b"\0\x01\0\x01", b"\0\x1c\0\x01", b"\0\xff\0\xff", b"\0\x29\0\x03"];
/// Options of EDNS: none, sizes, a version that there is not, a cookie, one that is longer than it is.
const OPTIONS: [&[u8]; 6] = [
    b"",
    b"\0\0\x29\x04\xd0\0\0\0\0\0\0",
    b"\0\0\x29\0\0\0\0\x80\0\0\0",
    b"\0\0\x29\xff\xff\0\x01\0\0\0\0",
    b"\0\0\x29\x10\0\0\0\0\0\0\x0c\0\x0a\0\x08abcdefgh",
    b"\0\0\x29\x10\0\0\0\0\0\0\x05\0\x08\0\xff\0",
];

pub(super) fn input(chance: &mut Chance) -> Vec<u8> {
    let option = chance.pick(&OPTIONS);
    let mut packet = HEADER.to_vec();
    packet[11] = u8::from(!option.is_empty());
    packet.extend_from_slice(chance.pick(&NAMES));
    packet.extend_from_slice(chance.pick(&KINDS));
    packet.extend_from_slice(option);
    if !chance.once_in(5) {
        let other = chance.pick(&OPTIONS);
        chance.damage(&mut packet, other);
    }
    packet
}

pub(super) fn check(input: &[u8]) {
    for (transport, most) in [(Transport::Udp, 4096), (Transport::Tcp, 65_535)] {
        let Some(replied) = reply(input, transport, |_, _| Found::default()) else {
            assert!(input.len() < HEADER.len() || input[2] & 0x80 != 0, "a question is passed over");
            continue;
        };
        let answer = replied.bytes;
        assert!(answer.len() >= HEADER.len() && answer.len() <= most);
        assert_eq!((&answer[..2], answer[2] & 0x80), (&input[..2], 0x80));
    }
}
