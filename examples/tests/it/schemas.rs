//! What the clients print for programs is described by a schema, one for each command, that is committed.
//!
//! `POLYPORT_WRITE_SCHEMAS=1 cargo test -p polyport-tools --test it schemas` writes them anew.

use std::fs;
use std::path::Path;

use polyport_tools::cast::json::CastLine;
use polyport_tools::frame::json::FrameReport;
use polyport_tools::load::capacity::json::CapacityReport;
use polyport_tools::load::compare::CompareReport;
use polyport_tools::load::events::Event;
use polyport_tools::load::json::LoadReport;
use polyport_tools::load::recorded::json::RecordedReport;
use polyport_tools::mtu::json::MtuReport;
use polyport_tools::plot::report::PlotReport;
use polyport_tools::request::json::RequestReport;
use polyport_tools::spoof::json::SpoofReport;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

fn schema<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

#[test]
fn the_committed_schemas_are_those_of_the_types() {
    let write = std::env::var_os("POLYPORT_WRITE_SCHEMAS").is_some();
    let all = [
        ("polyport-cast", schema::<CastLine>()),
        ("polyport-frame", schema::<FrameReport>()),
        ("polyport-load", schema::<LoadReport>()),
        ("polyport-load-capacity", schema::<CapacityReport>()),
        ("polyport-load-compare", schema::<CompareReport>()),
        ("polyport-load-stream", schema::<Event>()),
        ("polyport-load-pcap", schema::<RecordedReport>()),
        ("polyport-mtu", schema::<MtuReport>()),
        ("polyport-plot", schema::<PlotReport>()),
        ("polyport-request", schema::<RequestReport>()),
        ("polyport-spoof", schema::<SpoofReport>()),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    for (command, schema) in &all {
        let path = folder.join(format!("{command}.json"));
        if write {
            let text = serde_json::to_string_pretty(schema).unwrap();
            fs::write(&path, format!("{text}\n")).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let committed: Value = serde_json::from_str(&committed).unwrap_or_default();
        assert_eq!(
            &committed,
            schema.as_value(),
            "{command}: the head of this file says how to write it anew"
        );
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), all.len(), "a schema of no command");
}
