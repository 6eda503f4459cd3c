//! Messages of DNS: what a packet asks, and the packet that answers it.
//!
//! As many whole records as fit are sent, and where that are not all, the answer says so (RFC 2181, section 9). Whatever comes
//! in, it never panics, and never answers an answer: two servers must not talk to each other for ever.

use std::iter::once;

use hickory_proto::{
    ProtoError,
    op::{
        DEFAULT_MAX_PAYLOAD_LEN, Edns, Header, HeaderCounts, Message, MessageType, Metadata, OpCode, Query,
        ResponseCode,
    },
    rr::{DNSClass, RData, Record, RecordType},
    serialize::binary::{BinEncodable, BinEncoder},
};

use super::zone::{Found, TTL};

/// What every message begins with.
const HEADER: usize = 12;
/// A pointer to the name in the question, which follows the header (RFC 1035, section 4.1.4).
const ASKED_NAME: u16 = 0xC000 | HEADER as u16;
/// The largest answer over UDP: what is larger is broken up on its way, or lost.
const MOST_UDP: u16 = 4096;
/// And for whoever does not say how much it can take.
const LEAST_UDP: u16 = 512;

/// What brings a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// One packet each.
    Udp,
    /// A stream of them, of up to 64 KiB each.
    Tcp,
}

/// An answer, and what is counted of it.
#[derive(Debug)]
pub struct Reply {
    /// The message.
    pub bytes: Vec<u8>,
    /// What was asked for; `None` where that could not be read.
    pub kind: Option<RecordType>,
    /// How it went.
    pub code: ResponseCode,
    /// Whether there was more than could be said.
    pub cut: bool,
}

/// What a packet asks.
struct Request {
    metadata: Metadata,
    query: Option<Query>,
    edns: Option<Edns>,
}

/// Answers a packet by what `answer` finds for its question in so many bytes; `None` where there is nothing to be said.
pub fn reply(packet: &[u8], transport: Transport, answer: impl FnOnce(&Query, usize) -> Found) -> Option<Reply> {
    let request = read(packet)?;
    let limit = match transport {
        Transport::Tcp => u16::MAX,
        Transport::Udp => request.edns.as_ref().map_or(LEAST_UDP, Edns::max_payload).clamp(LEAST_UDP, MOST_UDP),
    };
    let found = match (fault(&request), &request.query) {
        (None, Some(query)) => answer(query, usize::from(limit)),
        (fault, _) => Found::refused(fault.unwrap_or(ResponseCode::FormErr)),
    };
    write(&request, limit, &found)
}

/// The question in a packet, or none where it cannot be read; `None` where it is an answer, or too short to be told so.
fn read(packet: &[u8]) -> Option<Request> {
    let header: [u8; HEADER] = packet.get(..HEADER)?.try_into().ok()?;
    let [id_high, id_low, flags, _, questions_high, questions_low, ..] = header;
    if flags & 0x80 != 0 {
        return None;
    }
    let op_code = OpCode::from_u8((flags >> 3) & 0x0F);
    let mut metadata = Metadata::new(u16::from_be_bytes([id_high, id_low]), MessageType::Query, op_code);
    metadata.recursion_desired = flags & 1 != 0;
    // Looked at before anything is made of it: the number says how much memory would be set aside.
    let message = ([questions_high, questions_low] == [0, 1]).then(|| Message::from_vec(packet).ok()).flatten();
    let Some(mut message) = message else { return Some(Request { metadata, query: None, edns: None }) };
    Some(Request { metadata: message.metadata, query: message.queries.pop(), edns: message.edns })
}

/// Why a question is not answered, whatever it is about.
fn fault(request: &Request) -> Option<ResponseCode> {
    let class = request.query.as_ref().map(|query| query.query_class);
    match (request.metadata.op_code, class) {
        _ if request.edns.as_ref().is_some_and(|edns| edns.version() > 0) => Some(ResponseCode::BADVERS),
        (OpCode::Query, None) => Some(ResponseCode::FormErr),
        (OpCode::Query, Some(DNSClass::IN | DNSClass::ANY)) => None,
        (OpCode::Query, Some(_)) => Some(ResponseCode::Refused),
        _ => Some(ResponseCode::NotImp),
    }
}

/// Writes an answer; one that cannot be written, though nobody knows how that could be, is told as a failure.
fn write(request: &Request, limit: u16, found: &Found) -> Option<Reply> {
    let (code, written) = match encode(request, limit, found) {
        Ok(written) => (found.code, Ok(written)),
        Err(error) => {
            tracing::error!(%error, "could not write an answer of DNS");
            (ResponseCode::ServFail, encode(request, limit, &Found::refused(ResponseCode::ServFail)))
        }
    };
    let (bytes, cut) = written.ok()?;
    Some(Reply { bytes, kind: request.query.as_ref().map(|query| query.query_type), code, cut })
}

/// A record of the name that was asked for.
struct Answer<'f>(&'f RData);

impl BinEncodable for Answer<'_> {
    fn emit(&self, encoder: &mut BinEncoder<'_>) -> Result<(), ProtoError> {
        encoder.emit_u16(ASKED_NAME)?;
        self.0.record_type().emit(encoder)?;
        DNSClass::IN.emit(encoder)?;
        encoder.emit_u32(TTL)?;
        let place = encoder.place::<u16>()?;
        self.0.emit(encoder)?;
        let length = u16::try_from(encoder.len_since_place(&place));
        place.replace(encoder, length.map_err(|_| ProtoError::Message("a record is too long"))?)
    }
}

/// Writes those records that fit, each whole, and says how many that are.
fn emit<R: BinEncodable>(
    encoder: &mut BinEncoder<'_>,
    records: impl Iterator<Item = R>,
) -> Result<(u16, bool), ProtoError> {
    let (mut count, mut cut) = (0, false);
    for record in records {
        match encoder.emit_all(once(&record)) {
            Ok(_) => count += 1,
            Err(ProtoError::NotAllRecordsWritten { .. }) => {
                encoder.trim();
                cut = true;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((count, cut))
}

/// The message, and whether some of what answers did not fit. That addresses of targets did not is not told: they can be asked.
fn encode(request: &Request, limit: u16, found: &Found) -> Result<(Vec<u8>, bool), ProtoError> {
    let mut bytes = Vec::with_capacity(usize::from(LEAST_UDP));
    let mut encoder = BinEncoder::new(&mut bytes);
    let place = encoder.place::<Header>()?;
    let queries = encoder.emit_all(request.query.iter())?;
    let option = request.edns.as_ref().map(|asked| option(asked, found.code));
    let of_option = option.as_ref().map_or(Ok(0), |option| option.to_bytes().map(|bytes| bytes.len()))?;
    encoder.set_max_size(limit.saturating_sub(u16::try_from(of_option).unwrap_or(u16::MAX)));
    let (answers, cut) = emit(&mut encoder, found.answers.iter().map(Answer))?;
    let (authorities, _) = emit(&mut encoder, found.authority.iter().map(Borrowed))?;
    let (mut additionals, _) = emit(&mut encoder, found.additionals.iter().map(Borrowed))?;
    encoder.set_max_size(limit);
    if let Some(option) = option {
        option.emit(&mut encoder)?;
        additionals += 1;
    }
    let mut metadata = Metadata::response_from_request(&request.metadata);
    (metadata.response_code, metadata.authoritative, metadata.truncation) = (found.code, found.authoritative, cut);
    let queries = u16::try_from(queries).unwrap_or(u16::MAX);
    place.replace(
        &mut encoder,
        Header { metadata, counts: HeaderCounts { queries, answers, authorities, additionals } },
    )?;
    Ok((bytes, cut))
}

struct Borrowed<'f>(&'f Record);

impl BinEncodable for Borrowed<'_> {
    fn emit(&self, encoder: &mut BinEncoder<'_>) -> Result<(), ProtoError> {
        self.0.emit(encoder)
    }
}

/// What this server says of itself to whoever says something of itself (RFC 6891).
fn option(asked: &Edns, code: ResponseCode) -> Record {
    let mut own = Edns::new();
    own.set_max_payload(DEFAULT_MAX_PAYLOAD_LEN).set_rcode_high(code.high()).set_dnssec_ok(asked.flags().dnssec_ok);
    Record::from(&own)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{
        Name,
        rdata::{A, SRV},
    };
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn asking(kind: RecordType, payload: Option<u16>) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(name("_Web._tcp.service.looma."), kind));
        if let Some(payload) = payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            message.set_edns(edns);
        }
        message.to_vec().unwrap()
    }

    fn instances(count: u32) -> Found {
        let target = |n: u32| name(&format!("{n:08x}.addr.looma."));
        let answers = (0..count).map(|n| RData::SRV(SRV::new(1, 100, 80, target(n)))).collect();
        let glue = (0..count).map(|n| Record::from_rdata(target(n), TTL, RData::A(A(n.into()))));
        Found { authoritative: true, answers, additionals: glue.collect(), ..Found::default() }
    }

    fn ask(packet: &[u8], transport: Transport, count: u32) -> (Message, Reply) {
        let reply = reply(packet, transport, |_, _| instances(count)).unwrap();
        (Message::from_vec(&reply.bytes).unwrap(), reply)
    }

    /// However many there are, what comes fits, is whole, has as many as fit, and says where that are not all.
    #[test]
    fn as_many_as_fit_and_the_rest_is_told() {
        for (payload, limit) in [
            (None, 512),
            (Some(100), 512),
            (Some(512), 512),
            (Some(1232), 1232),
            (Some(4096), 4096),
            (Some(65535), 4096),
        ] {
            for count in [1, 2, 5, 11, 12, 13, 30, 100, 101, 102, 1000] {
                let (answer, reply) = ask(&asking(RecordType::SRV, payload), Transport::Udp, count);
                assert!(reply.bytes.len() <= limit, "{payload:?} {count}");
                let told = answer.answers.len();
                assert_eq!(
                    (told < count as usize, answer.metadata.truncation),
                    (reply.cut, reply.cut),
                    "{payload:?} {count}"
                );
                assert!(told > 0 && answer.edns.is_some() == payload.is_some(), "{payload:?} {count}");
                // One more record of 39 bytes would not have fitted.
                assert!(!reply.cut || reply.bytes.len() + 39 > limit, "{payload:?} {count}: {}", reply.bytes.len());
                assert!(answer.answers.iter().all(|record| record.name == answer.queries[0].name && record.ttl == 0));
            }
        }
    }

    /// Addresses that do not fit are left out, and that is no reason to ask again.
    #[test]
    fn glue_gives_way_silently() {
        let (answer, reply) = ask(&asking(RecordType::SRV, None), Transport::Udp, 10);
        assert_eq!((answer.answers.len(), reply.cut), (10, false));
        assert!(answer.additionals.len() < 10);
        let (answer, _) = ask(&asking(RecordType::SRV, None), Transport::Tcp, 10);
        assert_eq!(answer.additionals.len(), 10);
    }

    #[test]
    fn over_tcp_there_are_64_kib() {
        let (answer, reply) = ask(&asking(RecordType::SRV, None), Transport::Tcp, 1600);
        assert_eq!((answer.answers.len(), reply.cut), (1600, false));
        let (answer, reply) = ask(&asking(RecordType::SRV, None), Transport::Tcp, 10_000);
        assert!(
            answer.metadata.truncation && reply.bytes.len() > 65_400 && answer.answers.len() > 1670,
            "{}",
            answer.answers.len()
        );
    }

    /// A record that does not fit does not keep out those that do.
    #[test]
    fn a_long_one_does_not_keep_out_the_others() {
        let long = name(&format!("{0}.{0}.{0}.{1}.example.", "a".repeat(63), "b".repeat(40)));
        let mut found = instances(3);
        found.answers.insert(0, RData::SRV(SRV::new(1, 1, 1, long.clone())));
        found.answers.insert(0, RData::SRV(SRV::new(1, 1, 2, long)));
        let reply = reply(&asking(RecordType::SRV, None), Transport::Udp, |_, _| found).unwrap();
        assert_eq!((Message::from_vec(&reply.bytes).unwrap().answers.len(), reply.cut), (4, true));
    }

    /// The question comes back as it was sent, capitals and all.
    #[test]
    fn the_question_comes_back_as_it_was_sent() {
        let packet = asking(RecordType::SRV, None);
        let (answer, reply) = ask(&packet, Transport::Udp, 1);
        assert_eq!(reply.bytes[HEADER..packet.len()], packet[HEADER..]);
        assert_eq!(
            (answer.metadata.id, answer.metadata.authoritative, answer.metadata.recursion_available),
            (7, true, false)
        );
    }

    fn code(packet: &[u8]) -> Option<ResponseCode> {
        let reply = reply(packet, Transport::Udp, |_, _| instances(1))?;
        let answer = Message::from_vec(&reply.bytes).unwrap();
        // Two have the same number.
        assert_eq!(u16::from(answer.metadata.response_code), u16::from(reply.code));
        assert_eq!((answer.metadata.id, answer.metadata.message_type), (7, MessageType::Response));
        Some(reply.code)
    }

    #[test]
    fn what_is_no_question_is_told_so_or_passed_over() {
        let good = asking(RecordType::A, Some(1232));
        assert_eq!(code(&good), Some(ResponseCode::NoError));
        assert_eq!(code(&good[..11]), None);
        assert_eq!(code(&[]), None);
        for end in 12..good.len() {
            assert_eq!(code(&good[..end]), Some(ResponseCode::FormErr), "{end}");
        }
        let with = |at: usize, byte: u8| {
            let mut packet = good.clone();
            packet[at] = byte;
            code(&packet)
        };
        assert_eq!(with(2, 0x80), None, "an answer");
        assert_eq!(with(2, 0x20), Some(ResponseCode::NotImp), "a notification");
        assert_eq!(with(2, 0x28), Some(ResponseCode::NotImp), "an update");
        assert_eq!(with(5, 0), Some(ResponseCode::FormErr), "no question");
        assert_eq!(with(5, 2), Some(ResponseCode::FormErr), "two questions");
        assert_eq!(with(4, 255), Some(ResponseCode::FormErr), "many questions");
        let class = good.len() - 12;
        assert_eq!(with(class, 3), Some(ResponseCode::Refused), "class CH");
        let version = good.len() - 5;
        assert_eq!(with(version, 1), Some(ResponseCode::BADVERS), "a later EDNS");
        // A name that points at itself.
        let mut packet = good[..HEADER].to_vec();
        packet.extend([0xC0, 12, 0, 1, 0, 1]);
        assert_eq!(code(&packet), Some(ResponseCode::FormErr));
    }

    proptest! {
        /// No packet makes it panic, and what is answered can be read.
        #[test]
        fn no_packet_is_too_odd(packet in proptest::collection::vec(any::<u8>(), 0..600), tcp in any::<bool>()) {
            let transport = if tcp { Transport::Tcp } else { Transport::Udp };
            if let Some(reply) = reply(&packet, transport, |_, _| instances(3)) {
                prop_assert!(Message::from_vec(&reply.bytes).is_ok());
            }
        }

        /// Nor one that was good before somebody damaged it.
        #[test]
        fn no_damage_is_too_odd(at in 0_usize..60, byte in any::<u8>(), payload in proptest::option::of(any::<u16>())) {
            let mut packet = asking(RecordType::SRV, payload);
            let at = at % packet.len();
            packet[at] = byte;
            if let Some(reply) = reply(&packet, Transport::Udp, |_, _| instances(50)) {
                prop_assert!(reply.bytes.len() <= 4096 && Message::from_vec(&reply.bytes).is_ok());
            }
        }
    }
}
