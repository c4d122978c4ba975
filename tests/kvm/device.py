"""Whether this host has a KVM: a device that can be opened, and that is KVM's."""
import fcntl, os, sys

SKIP = 77
GET_API_VERSION, API_VERSION = 0xae00, 12  # Documentation/virt/kvm/api.rst 4.1


def lacks():
    """Why there is none; empty if there is."""
    try:
        device = os.open('/dev/kvm', os.O_RDWR)
    except OSError as error:
        return f'/dev/kvm: {error.strerror}'
    try:
        return '' if fcntl.ioctl(device, GET_API_VERSION) == API_VERSION else '/dev/kvm: another version'
    except OSError:
        return "/dev/kvm is not KVM's"
    finally:
        os.close(device)


def need():
    """Ends the test as skipped where there is none."""
    if lacks():
        print('skipped:', lacks())
        sys.exit(SKIP)
