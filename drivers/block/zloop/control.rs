// SPDX-License-Identifier: GPL-2.0

//! `/dev/zloop-control`: one command a write, the list of options on a read.

#![forbid(unsafe_code)]

use crate::{
    abstractions::{
        module::ModuleRef,
        task, //
    },
    add,
    model::options::{
        self,
        Command, //
    },
    registry, //
};
use kernel::{
    fs::{
        File,
        Kiocb, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// The control device.
pub(crate) struct Control;

#[vtable]
impl MiscDevice for Control {
    /// Kernels before 7.3 do not keep the module while a device of [`MiscDevice`] is open.
    type Ptr = KBox<ModuleRef>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr> {
        Ok(KBox::new(
            ModuleRef::get::<crate::LocalModule>()?,
            GFP_KERNEL,
        )?)
    }

    fn read_iter(mut kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterDest<'_>) -> Result<usize> {
        iov.simple_read_from_buffer(kiocb.ki_pos_mut(), options::HELP.as_bytes())
    }

    /// Runs one command.
    ///
    /// `EPERM` without `CAP_SYS_ADMIN` in the task that writes, whoever opened the device; `EINVAL`
    /// for what is not a command, with a line in the log; else the errors of the commands.
    fn write_iter(_kiocb: Kiocb<'_, Self::Ptr>, iov: &mut IovIterSource<'_>) -> Result<usize> {
        if !task::capable_sys_admin() {
            return Err(EPERM);
        }
        let len = iov.len();

        if len > PAGE_SIZE {
            pr_err!("a command of {} bytes is too long\n", len);
            return Err(EINVAL);
        }
        let mut input = KVec::new();

        // Half a command would be another command.
        if iov.copy_from_iter_vec(&mut input, GFP_KERNEL)? != len {
            return Err(EFAULT);
        }
        let command = options::parse(&input).map_err(|error| {
            pr_err!("{}\n", core::format_args!("{error}"));
            EINVAL
        })?;

        match command {
            Command::Add(options) => add::add(&options)?,
            Command::Remove { id } => registry::remove(id)?,
        }
        Ok(len)
    }
}
