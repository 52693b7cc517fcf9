//! The smallest plugin in Rust. Build: `cargo build --release -p polyport-example-echo`.
#![forbid(unsafe_code)]
use polyport_plugin::prelude::*;

struct Echo;

impl Handler for Echo {
    type Config = ();

    fn new((): (), _: &mut Setup<'_>) -> Result<Self> {
        Ok(Self)
    }

    fn on_batch(&mut self, batch: &mut Batch<'_>) {
        batch.datagrams().for_each(|datagram| _ = datagram.echo());
    }
}

export_plugin!(Echo, "Sends every datagram back to its sender");
