# A stand-in for LuCI's, as far as our pages ask of it: a package of the pages, and one of each translation in po. What it
# does not do: compile src, and make JavaScript and CSS smaller. A translation has the version of the pages here.

LUCI_NAME := $(notdir $(CURDIR))
LUCI_BASENAME := $(patsubst luci-app-%,%,$(LUCI_NAME))
PKG_NAME ?= $(LUCI_NAME)
PKG_RELEASE ?= 1
LUCI_PKGARCH ?= all

# The names that LuCI has for a language: in po, in packages and files, in its menu.
LUCI_LANGUAGES := $(filter-out templates,$(notdir $(wildcard $(CURDIR)/po/*)))
LUCI_CODE.zh_Hans := zh-cn
LUCI_CODE.zh_Hant := zh-tw
LUCI_LANG.de := Deutsch (German)
LUCI_LANG.zh_Hans := 简体中文 (Simplified Chinese)
LUCI_LANG.zh_Hant := 正體中文 (Traditional Chinese)

PO2LMO := PYTHONPATH=$(TOPDIR)/.. python3 -B -m pack.lmo

include $(INCLUDE_DIR)/package.mk

LUCI_RIGHTS := u=rwX,go=rX

# 1: a directory beside the Makefile; 2: where what is in it goes. A checkout's rights depend on who made it.
luci_install = $(if $(wildcard $(CURDIR)/$(1)),$(INSTALL_DIR) $(2) && cp -R $(CURDIR)/$(1)/. $(2) && chmod -R $(LUCI_RIGHTS) $(2))

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
	$(call luci_install,htdocs,$(1)/www)
	$(call luci_install,root,$(1))
	$(call luci_install,ucode,$(1)/usr/share/ucode/luci)
endef

# LuCI keeps an index of its menu, and rpcd reads rights and plugins when it starts.
ifndef Package/$(PKG_NAME)/postinst
define Package/$(PKG_NAME)/postinst
if [ -z "$${IPKG_INSTROOT}" ]; then
	rm -f /tmp/luci-indexcache.*
	rm -rf /tmp/luci-modulecache/
	/etc/init.d/rpcd reload 2>/dev/null
	exit 0
fi
endef
endif

# 1: the language in po; 2: its code in names of packages and files.
define luci_translation
define Package/luci-i18n-$(LUCI_BASENAME)-$(2)
  SECTION:=luci
  CATEGORY:=LuCI
  TITLE:=$(PKG_NAME) - $(2) translation
  DEPENDS:=$(PKG_NAME)
  PKGARCH:=all
endef

define Package/luci-i18n-$(LUCI_BASENAME)-$(2)/description
  Translation for $(PKG_NAME) - $(LUCI_LANG.$(1))
endef

define Package/luci-i18n-$(LUCI_BASENAME)-$(2)/install
	$$(INSTALL_DIR) $$(1)/etc/uci-defaults $$(1)/usr/lib/lua/luci/i18n
	echo "uci set luci.languages.$(subst -,_,$(2))='$(LUCI_LANG.$(1))'; uci commit luci" \
		>$$(1)/etc/uci-defaults/luci-i18n-$(LUCI_BASENAME)-$(2)
	$(foreach po,$(wildcard $(CURDIR)/po/$(1)/*.po),$$(PO2LMO) $(po) \
		$$(1)/usr/lib/lua/luci/i18n/$(basename $(notdir $(po))).$(2).lmo &&) true
endef

LUCI_TRANSLATIONS += luci-i18n-$(LUCI_BASENAME)-$(2)
endef

$(foreach language,$(LUCI_LANGUAGES),$(if $(LUCI_LANG.$(language)),$(eval \
	$(call luci_translation,$(language),$(or $(LUCI_CODE.$(language)),$(language))))))
$(foreach package,$(PKG_NAME) $(LUCI_TRANSLATIONS),$(eval $(call BuildPackage,$(package))))
