//! Which addresses would be reached through our own tunnel: dialed, the tunnel would have to carry itself.
//! Asks the kernel, with the mark and the device of our sockets. Read first: docs/protocol.md, "Dialing".

use std::net::IpAddr;

use super::resolve::Answer;
use super::sockets::Sockets;
use crate::config::Network;
use crate::sys::interface;
use crate::sys::route::Route;

pub struct Inside {
    /// Names of TAP and TUN.
    own: Vec<String>,
    mark: u32,
    /// Numbers of the devices that lead into them; `None`: to be asked for.
    devices: Option<Vec<u32>>,
}

impl Inside {
    pub fn new(network: &Network) -> Self {
        let own = [&network.tap, &network.tun].into_iter().flatten().cloned().collect();
        Self { own, mark: network.fwmark, devices: None }
    }

    /// Devices may have changed.
    pub fn forget(&mut self) {
        self.devices = None;
    }

    /// Why this address must not be reached by these sockets, if so. No route is no reason: there may be one later.
    pub fn judge(&mut self, address: IpAddr, sockets: &Sockets) -> Option<String> {
        if self.own.is_empty() || sockets.obstacle().is_some() {
            return None;
        }
        let device = Route::query(address, self.mark, sockets.device()).ok()?.device;
        let name = self.devices()?.contains(&device).then(|| interface::name_of(device))?;
        let into = name.unwrap_or_else(|| "it".to_owned());
        Some(format!("would run inside the tunnel (the route to {address} leads into {into})"))
    }

    /// Of the addresses of a name those that may be dialed; if none may, why.
    pub fn sift(&mut self, answer: Answer, sockets: &Sockets) -> Answer {
        let mut refusal = None;
        let mut addresses = answer?;
        addresses.retain(|address| match self.judge(*address, sockets) {
            Some(reason) => {
                refusal = Some(reason);
                false
            }
            None => true,
        });
        match refusal {
            Some(reason) if addresses.is_empty() => Err(reason),
            _ => Ok(addresses),
        }
    }

    fn devices(&mut self) -> Option<&[u32]> {
        if self.devices.is_none() {
            let own: Vec<&str> = self.own.iter().map(String::as_str).collect();
            let found = interface::leading_into(&own);
            // If it failed, the next time is another try.
            self.devices = found.inspect_err(|error| log::debug!("devices: {error}")).ok();
        }
        self.devices.as_deref()
    }
}
