//! What the manifests say: fields that the API knows, ports that agree, rights and times.

use std::collections::BTreeSet;
use std::fs;

use polyport_tests::Launch;
use serde_json::{Value, json};
use toml::Table;

use super::{POLYPORT, Rendered, installed, run, text, texts, with_components};

const FOLDERS: [&str; 4] = ["base", "per-node", "overlays/relay", "overlays/load-test"];
const COMPONENTS: [&str; 3] = ["monitoring", "network-policy", "reload-in-place"];
/// The first in which every field is known without a feature gate, and the newest that `kubernetes-validate` has.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];

/// Everything that is rendered, each with its name; none without the programs for it.
fn everything() -> Option<Vec<(String, Rendered)>> {
    let mut all = Vec::new();
    for folder in FOLDERS {
        all.push((folder.to_owned(), Rendered::of(folder)?));
    }
    let whole = with_components(&COMPONENTS);
    all.push(("base with every component".to_owned(), Rendered::of(whole.path())?));
    Some(all)
}

/// What `kubernetes-validate` says of a text; nothing but the kinds that it does not know if all is well.
fn judged(text: &str, version: &str) -> Option<(Option<i32>, Vec<String>)> {
    let program = installed("kubernetes-validate")?;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let words = ["--strict", "--kubernetes-version", version].map(AsRef::as_ref);
    let finished = run(program, &[&words[..], &[file.path().as_os_str()]].concat());
    let said = format!("{}{}", finished.stdout, finished.stderr);
    let remarks = said.lines().filter(|line| !line.starts_with("INFO ")).map(str::to_owned);
    Some((finished.code(), remarks.collect()))
}

#[test]
fn the_api_knows_every_field() {
    let Some(all) = everything() else { return };
    for (name, rendered) in &all {
        for version in VERSIONS {
            let Some((code, remarks)) = judged(&rendered.text, version) else { return };
            // Its schema is not of the API: see below.
            let unknown =
                remarks.iter().filter(|line| !line.contains("Couldn't find schema for kind PodMonitor"));
            let unknown: Vec<_> = unknown.collect();
            assert!(code == Some(0) && unknown.is_empty(), "{name}, {version}: {code:?} {unknown:#?}");
        }
    }
    let (_, base) = &all[0];
    for (right, wrong) in
        [("readOnlyRootFilesystem", "readOnlyRootFileSystem"), ("containerPort: 7000", "containerPort: x")]
    {
        assert!(base.text.contains(right));
        let (code, _) = judged(&base.text.replace(right, wrong), VERSIONS[1]).unwrap();
        assert_ne!(code, Some(0), "{wrong} is noticed");
    }
}

/// The fields of monitoring.coreos.com/v1 that are used, with the types that its definition gives them.
#[test]
fn the_pod_monitor_finds_the_pods_and_their_page() {
    let Some(rendered) = Rendered::of(with_components(&["monitoring"]).path()) else { return };
    let monitor = rendered.one("PodMonitor");
    let duration = json!({ "type": "string", "pattern": "^(0|(([0-9]+)s))$" });
    let schema = json!({
        "type": "object", "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": { "const": "monitoring.coreos.com/v1" },
            "spec": {
                "type": "object", "required": ["selector", "podMetricsEndpoints"], "additionalProperties": false,
                "properties": {
                    "selector": { "type": "object" },
                    "podMetricsEndpoints": { "type": "array", "minItems": 1, "items": {
                        "type": "object", "required": ["port"], "additionalProperties": false,
                        "properties": {
                            "port": { "type": "string" }, "path": { "type": "string" },
                            "interval": duration, "scrapeTimeout": duration,
                        },
                    } },
                },
            },
        },
    });
    let errors: Vec<_> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(monitor)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    assert_eq!(port_of(rendered.container("polyport"), text(&endpoint["port"])), metrics_port(&rendered));
    assert_eq!(endpoint["path"], "/metrics");
    // Longer than the daemon takes to say that it cannot answer, and shorter than the next one.
    let seconds = |key: &str| text(&endpoint[key]).trim_end_matches('s').parse::<u32>().unwrap();
    assert!(seconds("scrapeTimeout") > 5 && seconds("interval") > seconds("scrapeTimeout"));
    let values = texts(&monitor["spec"]["selector"]["matchExpressions"][0]["values"]);
    for folder in ["base", "per-node", "overlays/relay"] {
        let Some(rendered) = Rendered::of(folder) else { return };
        let name = &rendered.workload()["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"];
        assert!(values.contains(&text(name)), "{folder}: {name}");
    }
}

#[test]
fn what_has_selectors_finds_its_own_pods_and_no_others() {
    let Some(all) = everything() else { return };
    let mut names = BTreeSet::new();
    for (name, rendered) in &all[..3] {
        let labels = &rendered.workload()["spec"]["template"]["metadata"]["labels"];
        assert!(names.insert(labels.to_string()), "{name}: the labels of another one");
        assert_eq!(&rendered.workload()["spec"]["selector"]["matchLabels"], labels, "{name}");
        for object in &rendered.objects {
            let selector = &object["spec"]["selector"];
            match text(&object["kind"]) {
                "Service" => assert_eq!(selector, labels, "{name}"),
                "PodDisruptionBudget" => assert_eq!(&selector["matchLabels"], labels, "{name}"),
                _ => {}
            }
        }
        for spread in rendered.pod()["topologySpreadConstraints"].as_array().into_iter().flatten() {
            assert_eq!(&spread["labelSelector"]["matchLabels"], labels, "{name}");
        }
    }
}

#[test]
fn ports_of_the_configuration_are_those_of_pods_services_and_policies() {
    let Some(all) = everything() else { return };
    for (name, rendered) in all.iter().filter(|(name, _)| name != "overlays/load-test") {
        let listened = udp_ports(rendered);
        let container = rendered.container("polyport");
        let ports = container["ports"].as_array().unwrap();
        let is_udp = |port: &&Value| port["protocol"] == "UDP";
        let numbers: BTreeSet<u64> =
            ports.iter().filter(is_udp).map(|port| port["containerPort"].as_u64().unwrap()).collect();
        assert_eq!(numbers, listened, "{name}");
        if name == "per-node" {
            let same = ports.iter().filter(is_udp).all(|port| port["hostPort"] == port["containerPort"]);
            assert!(
                same && ports.iter().filter(|port| !is_udp(port)).all(|port| port["hostPort"].is_null()),
                "{name}"
            );
        } else {
            let service = rendered.one("Service")["spec"]["ports"].as_array().unwrap();
            assert!(service.iter().all(|port| port["protocol"] == "UDP"), "{name}");
            let reached: BTreeSet<u64> =
                service.iter().map(|port| port_of(container, text(&port["targetPort"]))).collect();
            assert_eq!(reached, listened, "{name}");
        }
        for probe in ["readinessProbe", "livenessProbe"] {
            let port = port_of(container, text(&container[probe]["httpGet"]["port"]));
            assert_eq!(port, metrics_port(rendered), "{name}: {probe}");
            assert!(
                container[probe]["timeoutSeconds"].as_u64().unwrap() > 5,
                "{name}: the loop has five to answer"
            );
        }
        if let Some(policy) = rendered.objects.iter().find(|object| object["kind"] == "NetworkPolicy") {
            let rules = policy["spec"]["ingress"].as_array().unwrap();
            let entries = rules.iter().flat_map(|rule| rule["ports"].as_array().unwrap());
            let let_in: BTreeSet<u64> = entries
                .flat_map(|entry| {
                    let first =
                        entry["port"].as_u64().unwrap_or_else(|| port_of(container, text(&entry["port"])));
                    first..=entry["endPort"].as_u64().unwrap_or(first)
                })
                .collect();
            let all_ports: BTreeSet<u64> = listened.iter().copied().chain([metrics_port(rendered)]).collect();
            assert_eq!(let_in, all_ports, "{name}");
        }
    }
}

/// The pod security standard *restricted*, and what an attacker would write to.
#[test]
fn no_container_may_do_more_than_it_needs() {
    let Some(all) = everything() else { return };
    for (name, rendered) in &all {
        let pod = rendered.pod();
        let context = &pod["securityContext"];
        assert_eq!(
            (&context["runAsNonRoot"], &context["seccompProfile"]["type"]),
            (&json!(true), &json!("RuntimeDefault"))
        );
        assert!(context["runAsUser"].as_u64().unwrap() > 0, "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(pod[key].is_null(), "{name}: {key}");
        }
        for container in pod["containers"].as_array().unwrap() {
            let context = &container["securityContext"];
            assert_eq!(
                (
                    &context["allowPrivilegeEscalation"],
                    &context["readOnlyRootFilesystem"],
                    &context["capabilities"]
                ),
                (&json!(false), &json!(true), &json!({ "drop": ["ALL"] })),
                "{name}"
            );
            assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
        }
        let kinds =
            pod["volumes"].as_array().into_iter().flatten().flat_map(|it| it.as_object().unwrap().keys());
        let others: Vec<_> =
            kinds.filter(|key| !["name", "configMap", "emptyDir"].contains(&key.as_str())).collect();
        assert!(others.is_empty(), "{name}: {others:?}");
    }
}

#[test]
fn there_is_time_for_the_pause_and_for_what_is_still_to_be_sent() {
    let Some(all) = everything() else { return };
    for (name, rendered) in all.iter().filter(|(name, _)| name != "overlays/load-test") {
        let grace =
            configured(rendered)["grace"].as_str().unwrap().trim_end_matches('s').parse::<u64>().unwrap();
        let pause =
            rendered.container("polyport")["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
        let whole = rendered.pod()["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(pause + grace + 5 <= whole, "{name}: {pause} + {grace} and a reserve in {whole}");
    }
}

#[test]
fn every_configuration_is_right() {
    let Some(all) = everything() else { return };
    for (name, rendered) in all.iter().filter(|(name, _)| name != "overlays/load-test") {
        let checked = Launch::new(POLYPORT).arg("check").config(rendered.configuration()).run();
        checked.expect_code(0);
        assert_eq!(checked.stderr, "", "{name}");
    }
}

/// The two pods are one, but for the ports of the node and where they are put.
#[test]
fn deployment_and_daemon_set_have_the_same_pod() {
    let [Some(base), Some(node)] = ["base", "per-node"].map(Rendered::of) else { return };
    let [base_pod, node_pod] = [&base, &node].map(|rendered| {
        let mut pod = rendered.pod().clone();
        pod.as_object_mut().unwrap().remove("topologySpreadConstraints");
        for port in pod["containers"][0]["ports"].as_array_mut().unwrap() {
            port.as_object_mut().unwrap().remove("hostPort");
        }
        let name = &mut pod["volumes"][0]["configMap"]["name"];
        assert_eq!(*name, rendered.one("ConfigMap")["metadata"]["name"]);
        *name = Value::Null;
        pod
    });
    assert_eq!(base_pod, node_pod);
    let [base, node] = [&base, &node].map(configured);
    assert_eq!(base, node);
}

#[test]
fn another_configuration_is_another_pod_unless_it_is_followed_in_place() {
    for (components, rolls) in [(&[][..], true), (&["reload-in-place"], false)] {
        let dir = with_components(components);
        let Some(before) = Rendered::of(dir.path()) else { return };
        let file = dir.path().join("kubernetes/base/polyport.toml");
        let changed = fs::read_to_string(&file).unwrap().replace("10s", "9s");
        fs::write(file, changed).unwrap();
        let Some(after) = Rendered::of(dir.path()) else { return };
        assert_ne!(before.configuration(), after.configuration());
        assert_eq!(before.workload() != after.workload(), rolls, "{components:?}");
        let name = &after.one("ConfigMap")["metadata"]["name"];
        assert_eq!(
            name,
            &after.pod()["volumes"]
                .as_array()
                .unwrap()
                .iter()
                .find(|it| it["name"] == "configuration")
                .unwrap()["configMap"]["name"]
        );
    }
    // The file that is mounted alone never changes.
    let Some(base) = Rendered::of("base") else { return };
    for mount in base.container("polyport")["volumeMounts"].as_array().unwrap() {
        assert!(mount["subPath"].is_null());
    }
}

/// The port that has this name in a container.
#[track_caller]
fn port_of(container: &Value, name: &str) -> u64 {
    let ports = container["ports"].as_array().unwrap();
    let port = ports.iter().find(|port| port["name"] == name).unwrap_or_else(|| panic!("no port {name}"));
    port["containerPort"].as_u64().unwrap()
}

fn configured(rendered: &Rendered) -> Table {
    rendered.configuration().parse().unwrap()
}

fn metrics_port(rendered: &Rendered) -> u64 {
    configured(rendered)["metrics"].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Every port that is listened at.
fn udp_ports(rendered: &Rendered) -> BTreeSet<u64> {
    let configured = configured(rendered);
    let binds =
        configured["listen"].as_array().unwrap().iter().map(|listen| listen["bind"].as_str().unwrap());
    binds
        .flat_map(|bind| {
            let (_, ports) = bind.rsplit_once(':').unwrap();
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            first.parse::<u64>().unwrap()..=last.parse().unwrap()
        })
        .collect()
}
