# Where the SDK would unpack and build, the checkout and the finished binary are used.

PKG_BUILD_DIR := $(SOURCE)
PKG_INSTALL_DIR := $(OUT)/install

# What `Package/NAME` sets, and which of a package's texts are kept.
SDK_VARIABLES := SECTION CATEGORY SUBMENU TITLE URL DEPENDS PROVIDES CONFLICTS PKGARCH
SDK_GLOBALS := PKG_VERSION PKG_RELEASE PKG_LICENSE PKG_MAINTAINER
SDK_TEXTS := description conffiles preinst postinst prerm postrm

sdk_keep = $(file >$(OUT)/meta/$(1),$(strip $($(1))))
sdk_keep_text = $(if $(value Package/$(1)/$(2)),$(file >$(OUT)/meta/$(2),$(Package/$(1)/$(2))))

# `make packages` prints each package that the Makefile makes, with its PKGARCH or a dash. A Makefile may make several:
# each has the variables of its own `Package/NAME`, and none of the one before it.
.PHONY: all packages
all:
packages::

define BuildPackage
$(foreach variable,$(SDK_VARIABLES),$(eval $(variable) :=))
$(eval $(Package/$(1)))
$(foreach variable,$(SDK_VARIABLES),$(eval package-$(1): $(variable) := $$($(variable))))

packages::
	@echo $(1) $(or $(PKGARCH),-)

.PHONY: package-$(1)
all: package-$(1)
package-$(1):
	install -d $$(OUT)/root $$(PKG_INSTALL_DIR)/bin
	$$(if $$(BINARY),install -m0755 $$(BINARY) $$(PKG_INSTALL_DIR)/bin/$(1))
	$$(foreach variable,$$(SDK_VARIABLES) $$(SDK_GLOBALS),$$(call sdk_keep,$$(variable)))
	$$(foreach text,$$(SDK_TEXTS),$$(call sdk_keep_text,$(1),$$(text)))
	$$(call Package/$(1)/install,$$(OUT)/root)
endef
