//! The functions of OpenSSL.

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::ptr::null;

/// An `SSL`, a `BIO` or an object.
pub(super) type Pointer = *mut c_void;

const RTLD_NOW: c_int = 2;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// The functions of OpenSSL, from the library that `_ssl` itself uses.
pub(super) struct Functions {
    pub(super) read: unsafe extern "C" fn(Pointer, *mut u8, usize, *mut usize) -> c_int,
    pub(super) write: unsafe extern "C" fn(Pointer, *const u8, usize, *mut usize) -> c_int,
    pub(super) error: unsafe extern "C" fn(Pointer, c_int) -> c_int,
    pub(super) pending: unsafe extern "C" fn(Pointer) -> c_int,
    pub(super) shutdown: unsafe extern "C" fn(Pointer) -> c_int,
    pub(super) incoming: unsafe extern "C" fn(Pointer) -> Pointer,
    pub(super) outgoing: unsafe extern "C" fn(Pointer) -> Pointer,
    pub(super) set_incoming: unsafe extern "C" fn(Pointer, Pointer),
    pub(super) set_outgoing: unsafe extern "C" fn(Pointer, Pointer),
    pub(super) bio: BioFunctions,
}

/// Those that are about a `BIO`.
pub(super) struct BioFunctions {
    pub(super) read: unsafe extern "C" fn(Pointer, *mut u8, c_int) -> c_int,
    pub(super) write: unsafe extern "C" fn(Pointer, *const u8, c_int) -> c_int,
    pub(super) pending: unsafe extern "C" fn(Pointer) -> usize,
    pub(super) add_reference: unsafe extern "C" fn(Pointer) -> c_int,
    pub(super) new: unsafe extern "C" fn(Pointer) -> Pointer,
    pub(super) data: unsafe extern "C" fn(Pointer) -> Pointer,
    pub(super) set_data: unsafe extern "C" fn(Pointer, Pointer),
    pub(super) set_init: unsafe extern "C" fn(Pointer, c_int),
    pub(super) set_flags: unsafe extern "C" fn(Pointer, c_int),
    pub(super) clear_flags: unsafe extern "C" fn(Pointer, c_int),
    pub(super) new_index: unsafe extern "C" fn() -> c_int,
    pub(super) new_method: unsafe extern "C" fn(c_int, *const c_char) -> Pointer,
    pub(super) set_read: unsafe extern "C" fn(Pointer, Read) -> c_int,
    pub(super) set_write: unsafe extern "C" fn(Pointer, Write) -> c_int,
    pub(super) set_control: unsafe extern "C" fn(Pointer, Control) -> c_int,
    pub(super) set_destroy: unsafe extern "C" fn(Pointer, Destroy) -> c_int,
}

type Read = unsafe extern "C" fn(Pointer, *mut c_char, c_int) -> c_int;
type Write = unsafe extern "C" fn(Pointer, *const c_char, c_int) -> c_int;
type Control = unsafe extern "C" fn(Pointer, c_int, c_long, *mut c_void) -> c_long;
type Destroy = unsafe extern "C" fn(Pointer) -> c_int;

// SAFETY: addresses of functions, valid for the life of the process: the library is never closed.
unsafe impl Send for Functions {}
// SAFETY: as above.
unsafe impl Sync for Functions {}

impl Functions {
    /// None where one is missing.
    pub(super) fn load(path: Option<&CStr>) -> Option<Self> {
        // SAFETY: a library that is loaded already, or the program itself; the path is a C string.
        let library = unsafe { dlopen(path.map_or(null(), CStr::as_ptr), RTLD_NOW) };
        if library.is_null() {
            return None;
        }
        /// # Safety
        /// `F` must be the type of the function of that name.
        unsafe fn find<F: Copy>(library: *mut c_void, name: &CStr) -> Option<F> {
            const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
            // SAFETY: an open library and a C string; a pointer to a function is a pointer, and its type is
            // the caller's promise.
            unsafe {
                let symbol = dlsym(library, name.as_ptr());
                if symbol.is_null() { None } else { Some(std::mem::transmute_copy(&symbol)) }
            }
        }
        // SAFETY: the types are those of OpenSSL's headers, unchanged since 1.1.1.
        unsafe {
            Some(Self {
                read: find(library, c"SSL_read_ex")?,
                write: find(library, c"SSL_write_ex")?,
                error: find(library, c"SSL_get_error")?,
                pending: find(library, c"SSL_pending")?,
                shutdown: find(library, c"SSL_get_shutdown")?,
                incoming: find(library, c"SSL_get_rbio")?,
                outgoing: find(library, c"SSL_get_wbio")?,
                set_incoming: find(library, c"SSL_set0_rbio")?,
                set_outgoing: find(library, c"SSL_set0_wbio")?,
                bio: BioFunctions {
                    read: find(library, c"BIO_read")?,
                    write: find(library, c"BIO_write")?,
                    pending: find(library, c"BIO_ctrl_pending")?,
                    add_reference: find(library, c"BIO_up_ref")?,
                    new: find(library, c"BIO_new")?,
                    data: find(library, c"BIO_get_data")?,
                    set_data: find(library, c"BIO_set_data")?,
                    set_init: find(library, c"BIO_set_init")?,
                    set_flags: find(library, c"BIO_set_flags")?,
                    clear_flags: find(library, c"BIO_clear_flags")?,
                    new_index: find(library, c"BIO_get_new_index")?,
                    new_method: find(library, c"BIO_meth_new")?,
                    set_read: find(library, c"BIO_meth_set_read")?,
                    set_write: find(library, c"BIO_meth_set_write")?,
                    set_control: find(library, c"BIO_meth_set_ctrl")?,
                    set_destroy: find(library, c"BIO_meth_set_destroy")?,
                },
            })
        }
    }
}
