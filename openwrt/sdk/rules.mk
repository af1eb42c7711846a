# A stand-in for the OpenWrt SDK, as far as our packages' Makefiles ask of it: openwrt/mkpkg reads them with it, so what is
# in a package stands in one place only. `make -C openwrt/quicap TOPDIR=.../openwrt/sdk OUT=DIR SOURCE=DIR BINARY=FILE`
# leaves in DIR/root the files as they are to be installed, and in DIR/meta, which must exist, a file for each thing that the package says of itself.

INCLUDE_DIR := $(TOPDIR)/include

INSTALL_DIR := install -d -m0755
INSTALL_BIN := install -m0755
INSTALL_SUID := install -m4755
INSTALL_DATA := install -m0644
INSTALL_CONF := install -m0600
CP := cp -fpR
LN := ln -sf
