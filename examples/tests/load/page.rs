//! The page of a run as a browser shows it: on a desk and on a telephone, light and dark.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::server::Server;
use crate::tester::{Ran, command};

/// Widths of a window on a desk and on a telephone, in pixels.
const WIDTHS: [u32; 2] = [1280, 400];

/// What is looked at in a page: its width, colours and letters. Letters that lie on others, stand out of their picture, or are hard to
/// tell from the ground are named.
const LOOK: &str = r#"(() => {
  const channels = colour => colour.match(/[\d.]+/g).slice(0, 3).map(Number);
  // WCAG 2.2: relative luminance, and contrast.
  const luminance = colour => channels(colour).map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = getComputedStyle(document.body).backgroundColor;
  const contrast = colour => { const [a, b] = [luminance(colour), luminance(ground)].sort((a, b) => b - a); return (a + 0.05) / (b + 0.05); };
  const faint = [], overlapping = [], outside = [], small = [];
  for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].map(text => [text, text.getBoundingClientRect()]);
    texts.forEach(([text, box], index) => {
      const words = text.textContent;
      if (box.left < frame.left - 0.5 || box.right > frame.right + 0.5 || box.top < frame.top - 0.5 || box.bottom > frame.bottom + 0.5) outside.push(words);
      if (contrast(getComputedStyle(text).fill) < 4.5) faint.push(words);
      const size = parseFloat(getComputedStyle(text).fontSize) * frame.width / svg.viewBox.baseVal.width;
      if (size < 8.5) small.push([words, size]);
      for (const [other, their] of texts.slice(index + 1)) {
        // A line is higher than its letters.
        const slack = box.height / 4;
        if (box.left < their.right && their.left < box.right && box.top + slack < their.bottom && their.top + slack < box.bottom) overlapping.push([words, other.textContent]);
      }
    });
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const above = walker.currentNode.parentElement;
    if (!above.closest("svg") && walker.currentNode.textContent.trim() && contrast(getComputedStyle(above).color) < 4.5) faint.push(walker.currentNode.textContent);
  }
  return { width: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight, ground: luminance(ground),
    pictures: document.querySelectorAll("svg").length, faint, overlapping, outside, small };
})()"#;

/// What a screenshot is like: how light it is in the mean, and how many colours it has.
fn seen(png: &str) -> String {
    format!(
        r#"(async () => {{
  const octets = Uint8Array.from(atob("{png}"), letter => letter.charCodeAt(0));
  const image = await createImageBitmap(new Blob([octets], {{ type: "image/png" }}));
  const sheet = new OffscreenCanvas(image.width, image.height).getContext("2d");
  sheet.drawImage(image, 0, 0);
  const data = sheet.getImageData(0, 0, image.width, image.height).data;
  const colours = new Set();
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) {{
    sum += data[at] + data[at + 1] + data[at + 2];
    colours.add(data[at] << 16 | data[at + 1] << 8 | data[at + 2]);
  }}
  return {{ light: sum / (data.length / 4 * 3 * 255), colours: colours.size, width: image.width, height: image.height }};
}})()"#
    )
}

/// Looks at a page in all ways; the screenshots are kept where `POLYPORT_SCREENSHOTS` names a folder.
fn look(browser: &mut Browser, page: &Path, name: &str, pictures: usize) {
    let address = format!("file://{}", page.display());
    let kept = std::env::var_os("POLYPORT_SCREENSHOTS").map(PathBuf::from);
    for (width, dark) in WIDTHS.into_iter().flat_map(|width| [(width, false), (width, true)]) {
        browser.open(&address, width, dark);
        let page = browser.value(LOOK);
        let of = |name: &str| page[name].as_u64().unwrap();
        let png = browser.screenshot(width, of("height"));
        let shade = if dark { "dark" } else { "light" };
        if let Some(folder) = &kept {
            let file = folder.join(format!("{name}-{width}-{shade}.png"));
            fs::write(file, data_encoding::BASE64.decode(png.as_bytes()).unwrap()).unwrap();
        }
        let what = format!("{name}, {width} pixels, {shade}: {page:#}");
        assert_eq!(of("width"), u64::from(width), "nothing stands out to the right: {what}");
        assert_eq!(of("pictures"), pictures as u64, "{what}");
        for fault in ["faint", "overlapping", "outside", "small"] {
            assert_eq!(page[fault], json!([]), "{fault}: {what}");
        }
        let seen = browser.value(&seen(&png));
        assert_eq!((&seen["width"], &seen["height"]), (&json!(width), &page["height"]), "{what}");
        let (light, colours) = (seen["light"].as_f64().unwrap(), seen["colours"].as_u64().unwrap());
        assert!(if dark { light < 0.2 } else { light > 0.8 }, "{light}: {what}");
        assert!(colours > 20, "something is drawn: {colours}: {what}");
        assert_eq!(browser.requests(), [address.as_str()], "it asks for nothing else: {what}");
        assert_eq!(browser.complaints(), Vec::<&Value>::new(), "{what}");
    }
}

/// Runs a load that writes a page.
fn page(folder: &Path, name: &str, targets: &str, more: &str) -> (PathBuf, Ran) {
    let path = folder.join(format!("{name}.html"));
    let words = targets.split(' ').chain(more.split_ascii_whitespace());
    let ran = command().args(words).arg("--html").arg(&path).output().unwrap();
    (path, ran.into())
}

#[test]
fn a_page_is_good_to_read_on_a_desk_and_on_a_telephone_light_and_dark() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let servers: Vec<Server> = (0..3)
        .map(|server| {
            Server::start(move |request| {
                if request.number % 20 != server + 5 {
                    request.send(&request.response());
                }
            })
        })
        .collect();
    let targets: Vec<String> = servers.iter().map(|server| server.address.to_string()).collect();
    let options = "--rate 1500/s -d 3s --interval 100ms --warmup 0s --timeout 2s -q --threshold p99<5s --threshold loss<0.1%";
    let (path, ran) = page(folder.path(), "usual", &targets.join(" "), options);
    assert_eq!(ran.code, 99, "{}", ran.stderr);
    look(&mut browser, &path, "usual", 5);

    // A thousand targets, none of which is there.
    let options = "--rate 2000/s -d 2s --interval 100ms --warmup 0s --timeout 100ms --no-handshake -q";
    let (path, ran) = page(folder.path(), "lost", "127.0.0.1:1-1000", options);
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    look(&mut browser, &path, "lost", 5);

    // Nothing at all.
    let options = "--rate 1/s -d 0s --warmup 0s --timeout 100ms --no-handshake -q";
    let (path, ran) = page(folder.path(), "empty", &targets[0], options);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    look(&mut browser, &path, "empty", 4);

    // Long names and words, and as many nines as there are.
    let long = "127.0.0.1:1 [fd00:1111:2222:3333:4444:5555:6666:7777]:65535 [fd00:aaaa:bbbb:cccc:dddd:eeee:ffff:1]:65534";
    let template = "x".repeat(500);
    let options = format!(
        "--rate 500k/s -d 3s --warmup 0s --timeout 100ms --no-handshake -q --expect any --template {template}"
    );
    let (path, ran) = page(folder.path(), "long", long, &options);
    assert_eq!(ran.code, 69, "{}", ran.stderr);
    look(&mut browser, &path, "long", 5);
}
