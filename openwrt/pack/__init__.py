"""OpenWrt packages without OpenWrt's SDK: what they hold (recipe), opkg's archives (ipk), apk's (apk, adb), signatures (keys).

Read first: docs/packaging.md.
"""
