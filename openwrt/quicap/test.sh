#!/bin/sh
# Runs on a machine of the package's architecture, or under an emulator, without a network and without a TAP.
set -e

# What the feed's checks pass: the name of the package and its version.
quicap --version | grep "^quicap $2\$"

# The shipped file is read without a complaint.
quicap check

# A timer, certificates, a handshake between two nodes over loopback, frames both ways, and a peer that falls silent.
rc=0
timeout 300 quicap selftest || rc=$?
if [ "$rc" != 0 ]; then
	echo "quicap selftest: exit code $rc (124: it did not end)"
	exit 1
fi
