# SPDX-License-Identifier: MIT OR GPL-2.0
#
# make modules [KERNEL_RELEASE=$(uname -r)] [KERNEL_BUILD=FOLDER]: the guest's modules, into
# build/modules/RELEASE. KERNEL_RELEASE=6.1 or 6.12: for Debian's stock kernel, whose headers are fetched
# below build/ and not installed.

KERNEL_RELEASE ?= $(shell uname -r)
KERNEL_BUILD ?=

modules:
	+@guest-kernel-module/build-modules $(KERNEL_RELEASE) "$(KERNEL_BUILD)"

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
	$(if $(DESTDIR),,dkms install pvkit/$(VERSION) -k $(KERNEL_RELEASE))

uninstall-dkms:
	$(if $(DESTDIR),,-dkms remove pvkit/$(VERSION) --all)
	rm -rf $(DKMS_SOURCE)

.PHONY: modules install-dkms uninstall-dkms
