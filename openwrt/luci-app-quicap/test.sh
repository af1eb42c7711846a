#!/bin/sh
# Runs where the package is installed, without a browser and without a daemon.
set -e

# What rpcd and LuCI read is JSON.
for file in /usr/share/rpcd/acl.d/luci-app-quicap.json /usr/share/luci/menu.d/luci-app-quicap.json; do
	jsonfilter -i "$file" -t '@' | grep object
done

# The plugin of rpcd can be compiled.
ucode -c -o /dev/null /usr/share/rpcd/ucode/luci.quicap
