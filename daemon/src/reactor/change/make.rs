//! A new handler is made beside the one that serves.

use super::wish::{Fresh, Wish};
use crate::exchange::Facts;
use crate::limits::KEPT_BYTES;
use crate::plugin::{Cells, CreateError, Instance, InstancePlace, InstanceSpec, Rescued, State, Why};
use crate::reactor::core::Core;
use crate::reactor::io::Io;
use crate::reactor::listener::{Listener, Service, instance_seed};

impl<I: Io> Core<I> {
    /// Makes the handler that a wish asks for. The one that serves does so until the new one is put into its place.
    pub(super) fn make_anew(
        &mut self,
        listener: &mut Listener<I::Socket>,
        wish: &Wish,
    ) -> Result<Fresh, CreateError> {
        // What another plugin has kept means nothing to it.
        let is_heir = listener.plugin.name() == wish.plugin.name();
        let state = if is_heir { state_of(listener)? } else { None };
        let sessions =
            if is_heir && wish.plugin.has_sessions() { self.sessions_of(listener) } else { Vec::new() };
        let (wakes, secret) = (self.wakes_for(&wish.plugin)?, self.secret()?);
        let mut cells = (!is_heir).then(Cells::default);
        let new = || InstancePlace::new(&wish.name, wish.plugin.name(), Some(listener.local));
        let place = if is_heir && listener.name == wish.name {
            listener.faults.get_or_insert_default().place(new)
        } else {
            new()
        };
        let spec = InstanceSpec {
            listener: &wish.name,
            addresses: &[listener.local],
            values: &wish.values,
            seed: instance_seed(self.seed, &wish.name, listener.local),
            now_ns: self.now.mono_ns,
            why: Why::Reload,
            secret,
            budget: &self.handler_budget,
            sessions: &sessions,
            place: Some(place),
            state: state.as_ref(),
            wakes: wakes.as_ref().map(|list| (list, listener.token.number())),
        };
        let (io, socket) = (&mut self.io, &mut listener.socket);
        let (mut kept, mut wanted, before) = (Vec::new(), Facts::NONE, listener.wanted);
        // The one that serves is told what it wanted all the same.
        let mut want = |facts: Facts| {
            wanted = wanted.or(facts);
            io.want(socket, wanted.or(before)).and(facts)
        };
        let own = cells.as_mut().unwrap_or(&mut listener.cells);
        match Instance::create(&wish.plugin, &spec, own, &mut want, &mut kept) {
            Ok(instance) => Ok(Fresh { instance, place, kept, wanted, cells, state }),
            Err(error) => {
                self.unmake(listener, place);
                Err(error)
            }
        }
    }

    /// The handler that was made for a listener, and has this place, will not serve.
    pub(super) fn unmake(&mut self, listener: &mut Listener<I::Socket>, place: InstancePlace) {
        self.io.want(&mut listener.socket, listener.wanted);
        if let Some(faults) = &mut listener.faults {
            faults.spare_place(place);
        }
    }
}

/// What the handler of a listener hands over, or what one that broke has left.
fn state_of<S>(listener: &mut Listener<S>) -> Result<Option<State>, CreateError> {
    let refused = |message: String| CreateError { option: None, message };
    match &mut listener.service {
        Service::Running(instance) => match instance.save(KEPT_BYTES as u64) {
            Rescued::Nothing => Ok(None),
            Rescued::State(state) => Ok(Some(state)),
            Rescued::TooLarge(bytes) => Err(refused(format!(
                "the handler that serves has a state of {bytes} bytes, and {KEPT_BYTES} can be handed over"
            ))),
            Rescued::Failed(code) => Err(refused(format!(
                "the handler that serves cannot hand its state over: `save` returns {code}"
            ))),
        },
        Service::Down | Service::Failed => {
            Ok(listener.faults.as_ref().and_then(|faults| faults.kept.state.clone()))
        }
    }
}
