# A stand-in for luci.mk of LuCI's feed, as far as our pages' Makefile asks of it. There each language is a package of its own;
# here all are in the one.

include $(INCLUDE_DIR)/package.mk

LUCI_BASENAME := $(patsubst luci-app-%,%,$(PKG_NAME))

# Languages as the directories of po name them, and as LuCI's files do.
LUCI_LANGUAGES := $(filter-out templates,$(notdir $(wildcard $(CURDIR)/po/*)))
LUCI_ALIAS.zh_Hans := zh-cn
LUCI_ALIAS.zh_Hant := zh-tw

define Package/$(PKG_NAME)
  SECTION:=luci
  CATEGORY:=LuCI
  SUBMENU:=3. Applications
  TITLE:=$(LUCI_TITLE)
  URL:=$(LUCI_URL)
  DEPENDS:=$(LUCI_DEPENDS)
  PKGARCH:=$(LUCI_PKGARCH)
endef

define Package/$(PKG_NAME)/description
  $(LUCI_DESCRIPTION)
endef

define Package/$(PKG_NAME)/install
	$(INSTALL_DIR) $(1)/www $(1)/usr/lib/lua/luci/i18n
	$(CP) $(CURDIR)/htdocs/. $(1)/www
	$(CP) $(CURDIR)/root/. $(1)
	$(foreach language,$(LUCI_LANGUAGES),$(TOPDIR)/../pack/lmo.py $(CURDIR)/po/$(language)/$(LUCI_BASENAME).po \
		$(1)/usr/lib/lua/luci/i18n/$(LUCI_BASENAME).$(or $(LUCI_ALIAS.$(language)),$(language)).lmo;)
endef

# rpcd reads methods and access lists when it starts, and LuCI keeps its menu.
define Package/$(PKG_NAME)/postinst
#!/bin/sh
[ -n "$${IPKG_INSTROOT}" ] || {
	rm -rf /tmp/luci-indexcache.* /tmp/luci-modulecache/
	/etc/init.d/rpcd reload
	exit 0
}
endef

$(eval $(call BuildPackage,$(PKG_NAME)))
