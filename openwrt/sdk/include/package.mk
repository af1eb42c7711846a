# Where the SDK would unpack and build, the checkout and the finished binary are used.

PKG_BUILD_DIR := $(SOURCE)
PKG_INSTALL_DIR := $(OUT)/install

# What `Package/NAME` sets, and which of a package's texts are kept.
SDK_VARIABLES := SECTION CATEGORY SUBMENU TITLE URL DEPENDS PROVIDES CONFLICTS
SDK_GLOBALS := PKG_VERSION PKG_RELEASE PKG_LICENSE PKG_MAINTAINER
SDK_TEXTS := description conffiles preinst postinst prerm postrm

sdk_keep = $(file >$(OUT)/meta/$(1),$(strip $($(1))))
sdk_keep_text = $(if $(value Package/$(1)/$(2)),$(file >$(OUT)/meta/$(2),$(Package/$(1)/$(2))))

define BuildPackage
$(eval $(Package/$(1)))

.PHONY: package-$(1)
all: package-$(1)
package-$(1):
	install -d $$(OUT)/root $$(PKG_INSTALL_DIR)/bin
	install -m0755 $$(BINARY) $$(PKG_INSTALL_DIR)/bin/$(1)
	$$(foreach variable,$$(SDK_VARIABLES) $$(SDK_GLOBALS),$$(call sdk_keep,$$(variable)))
	$$(foreach text,$$(SDK_TEXTS),$$(call sdk_keep_text,$(1),$$(text)))
	$$(call Package/$(1)/install,$$(OUT)/root)
endef
