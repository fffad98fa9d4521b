# SPDX-License-Identifier: MIT OR GPL-2.0
#
# make modules [KERNEL_RELEASE=$(uname -r)] [KERNEL_BUILD=FOLDER]: the guest's modules, into
# build/modules/RELEASE. KERNEL_RELEASE=6.1 or 6.12: for Debian's stock kernel, whose headers are fetched
# below build/ and not installed.

KERNEL_RELEASE ?= $(shell uname -r)
KERNEL_BUILD ?=

modules:
	+@guest-kernel-module/build-modules "$(KERNEL_RELEASE)" "$(KERNEL_BUILD)"

# Links in /dev/disk for PV disks. A udev that runs reads them anew, and looks at disks that are there.
UDEV_RULES := packaging/udev/61-pvkit.rules
UDEV_FOLDER = $(DESTDIR)/usr/lib/udev/rules.d
define install_rules
	install -d $(UDEV_FOLDER)
	install -m 644 $(UDEV_RULES) $(UDEV_FOLDER)
	$(if $(DESTDIR),,-! [ -e /run/udev/control ] || { udevadm control --reload && \
		udevadm trigger --subsystem-match=block --sysname-match='pvd*'; })
endef
define uninstall_rules
	rm -f $(UDEV_FOLDER)/$(notdir $(UDEV_RULES))
endef

# make install-modules [KERNEL_RELEASE=…] [DESTDIR=FOLDER]: what make modules built, to /lib/modules/RELEASE/updates.
install-modules:
	@DESTDIR="$(DESTDIR)" guest-kernel-module/install-modules "$(KERNEL_RELEASE)"
	$(install_rules)

uninstall-modules:
	@DESTDIR="$(DESTDIR)" guest-kernel-module/install-modules --remove "$(KERNEL_RELEASE)"
	$(uninstall_rules)

# make install-dkms [DESTDIR=FOLDER]: the sources to /usr/src, and without DESTDIR to DKMS, which builds them for
# the running kernel now and for each that is installed later. make uninstall-dkms takes them back.
DKMS_SOURCE = $(DESTDIR)/usr/src/pvkit-$(VERSION)
DKMS_FOLDERS := abi ring guest-kernel-module guest-drivers/blk guest-drivers/net

install-dkms:
	install -d $(DKMS_SOURCE)
	for folder in $(DKMS_FOLDERS); do install -d $(DKMS_SOURCE)/$$folder && \
		install -m 644 $$folder/*.[ch] $(DKMS_SOURCE)/$$folder || exit 1; done
	install -m 644 guest-kernel-module/Kbuild $(DKMS_SOURCE)/Kbuild
	sed 's/@VERSION@/$(VERSION)/' packaging/dkms.conf >$(DKMS_SOURCE)/dkms.conf
	$(install_rules)
	$(if $(DESTDIR),,dkms install pvkit/$(VERSION) -k $(KERNEL_RELEASE))

uninstall-dkms:
	$(if $(DESTDIR),,-dkms remove pvkit/$(VERSION) --all)
	$(uninstall_rules)
	rm -rf $(DKMS_SOURCE)

.PHONY: modules install-modules uninstall-modules install-dkms uninstall-dkms
