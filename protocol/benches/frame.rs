//! Decode and encode of a minimal frame. Target: decode below 40 ns.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use polyport_protocol::{Decoder, Encoder, Header, Integrity, Key, Kind, Role};

fn frame(c: &mut Criterion) {
    let header = Header::new(Kind::Request, 0x0123_4567_89AB_CDEF, 0xCAFE_F00D, 7, 123_456_789);
    let keys = [Key::siphash(1, [7; 16])];
    let (mut plain, mut sealed) = ([0; 48], [0; 64]);
    let written = [
        Encoder::new(&mut plain, &header).payload(b"ping").finish(),
        Encoder::new(&mut sealed, &header).auth_if(keys.first()).payload(b"ping").finish(),
    ];
    assert_eq!(written, [Ok(48), Ok(64)], "the benchmark measures real frames");

    let decoder = Decoder::new(Role::Responder);
    c.bench_function("decode minimal", |b| b.iter(|| decoder.decode(black_box(&plain))));
    let strict = decoder.with_integrity(Integrity::Keys(&keys));
    c.bench_function("decode siphash", |b| b.iter(|| strict.decode(black_box(&sealed))));
    let mut out = [0; 64];
    c.bench_function("encode minimal", |b| {
        b.iter(|| Encoder::new(black_box(&mut out), black_box(&header)).payload(black_box(b"ping")).finish());
    });
    c.bench_function("encode siphash", |b| {
        b.iter(|| {
            let encoder = Encoder::new(black_box(&mut out), black_box(&header));
            encoder.auth_if(keys.first()).payload(black_box(b"ping")).finish()
        });
    });
}

criterion_group!(benches, frame);
criterion_main!(benches);
