//! Elements of HTML and XML, put together piece by piece. Whatever stands in them is escaped.

use std::fmt;

use svg::Node;
use svg::node::Text;
use svg::node::element::Element;

use super::sheet::shown;

/// An element being put together.
pub(crate) struct Markup(Element);

/// An empty element.
pub(crate) fn element(name: &str) -> Markup {
    Markup(Element::new(name))
}

impl Markup {
    /// With an attribute.
    pub(crate) fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.0.assign(name, shown(&value.to_string()));
        self
    }

    /// With one more child.
    pub(crate) fn holding(mut self, child: impl Into<Box<dyn Node>>) -> Self {
        self.0.append(child);
        self
    }

    /// With more children.
    pub(crate) fn holding_all<C: Into<Box<dyn Node>>>(self, children: impl IntoIterator<Item = C>) -> Self {
        children.into_iter().fold(self, Self::holding)
    }

    /// With a text, whose control characters are made visible: XML has no place for them.
    pub(crate) fn saying(mut self, words: impl AsRef<str>) -> Self {
        self.0.append(Text::new(shown(words.as_ref())));
        self
    }

    /// With a text of ours that has line breaks.
    pub(crate) fn saying_lines(mut self, words: &str) -> Self {
        self.0.append(Text::new(words));
        self
    }
}

impl From<Markup> for Box<dyn Node> {
    fn from(markup: Markup) -> Self {
        Self::from(markup.0)
    }
}

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
