//! Entries under small numbers that are used again after a removal.

#[derive(Debug)]
pub struct Arena<T> {
    entries: Vec<Option<Box<T>>>,
    free: Vec<u32>,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Arena<T> {
    pub fn insert(&mut self, entry: T) -> u32 {
        if let Some(number) = self.free.pop()
            && let Some(slot) = self.entries.get_mut(number as usize)
        {
            *slot = Some(Box::new(entry));
            return number;
        }
        self.entries.push(Some(Box::new(entry)));
        (self.entries.len() - 1) as u32
    }

    pub fn get(&self, number: u32) -> Option<&T> {
        self.entries.get(number as usize)?.as_deref()
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.entries.get_mut(number as usize)?.as_deref_mut()
    }

    pub fn remove(&mut self, number: u32) -> Option<T> {
        let entry = self.entries.get_mut(number as usize)?.take()?;
        self.free.push(number);
        Some(*entry)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.entries.iter().enumerate().filter_map(|(number, entry)| Some((number as u32, entry.as_deref()?)))
    }

    /// One more than the largest number ever given.
    pub fn span(&self) -> usize {
        self.entries.len()
    }
}
