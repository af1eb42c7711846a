# Nothing is compiled here: cross/build.sh has done it.

RUST_ARCH_DEPENDS := @rust

define RustBinPackage
endef
